"""A mutation run: whether the tests of a learner notice when any one place of it is wrong.

The tree is copied. Each mutant is put into a copy and tested by a fork in which the libraries are
already loaded, first by `tests/reference`, then by `tests/conformance`, of the learners that the
file concerns. Too slow counts as caught.
"""

import argparse
import gc
import importlib
import inspect
import json
import os
import re
import resource
import shutil
import signal
import sys
import tempfile
import traceback
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import pytest
from mutants import Mutant, mutants

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = Path("src/warmstart")
AS_IT_IS = Mutant(source="", line=0, diff="")


@dataclass
class Target:
    """A file to mutate, the classes that it concerns, their tests, and what became of its
    mutants.
    """

    path: Path
    source: str
    classes: set[str]
    tests: list[str]
    seconds: int = (
        600  # of processor time for one mutant, since on a busy machine a clock says little
    )
    outcomes: dict[str, list[Mutant]] = field(
        default_factory=lambda: {"killed": [], "timeout": [], "survived": []}
    )


class Concerned:
    """This keeps, of the conformance suite, the cases of some learners, and lets the tests that
    name them go first.

    It also notes which libraries were loaded.
    """

    def __init__(self, classes: set[str], libraries: Path) -> None:
        self.classes, self.libraries = classes, libraries

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        from warmstart.training.registry import (
            RECIPES,
        )  # only now, since it is the mutated one that counts

        names = {name for name, recipe in RECIPES.items() if recipe.cls.__name__ in self.classes}
        kept = [item for item in items if not _is_law(item) or names & _parameters(item)]
        items[:] = sorted(kept, key=lambda item: (_is_law(item), not self._is_named_in(item)))

    def pytest_sessionfinish(self) -> None:
        self.libraries.write_text("\n".join(sys.modules))

    def _is_named_in(self, item: pytest.Item) -> bool:
        return isinstance(item, pytest.Function) and _finds(
            inspect.getsource(item.function), *self.classes
        )


def _is_law(item: pytest.Item) -> bool:
    return "conformance" in item.path.parts


def _parameters(item: pytest.Item) -> set[str]:
    values = (
        item.callspec.params.values()
        if isinstance(item, pytest.Function) and hasattr(item, "callspec")
        else ()
    )
    return {
        str(part) for value in values for part in (value if isinstance(value, tuple) else (value,))
    }


def target(tree: Path, path: Path) -> Target:
    """The file with the learners in it, or those that import it, and the tests that name them."""
    module = ".".join(path.with_suffix("").parts[1:])
    users = [
        file for file in (tree / PACKAGE / "learners").glob("[!_]*.py") if _mentions(file, module)
    ]
    classes = {
        name
        for file in [tree / path, *users]
        for name in re.findall(r"^class (\w+)", file.read_text(), re.M)
    }
    references = [
        file
        for file in (tree / "tests/reference").glob("test_*.py")
        if _mentions(file, module, *classes)
    ]
    tests = sorted(references) + sorted((tree / "tests/conformance").glob("test_*.py"))
    return Target(
        path, (tree / path).read_text(), classes, [str(file.relative_to(tree)) for file in tests]
    )


def _mentions(file: Path, *words: str) -> bool:
    return _finds(file.read_text(), *words)


def _finds(text: str, *words: str) -> bool:
    return re.search(rf"\b({'|'.join(words)})\b", text) is not None


def run(targets: list[Target], trees: list[Path]) -> None:
    """Try each file as it is and then all of its mutants, as many at a time as there are trees."""
    waiting = [(target, AS_IT_IS) for target in targets]
    waiting += [(target, mutant) for target in targets for mutant in mutants(target.source)]
    total, running = len(waiting), {}
    while waiting or running:
        while waiting and trees:
            tree, (target, mutant) = trees.pop(), waiting.pop(0)
            running[fork(tree, target, mutant.source or target.source)] = tree, target, mutant
        child, status, usage = os.wait3(0)
        tree, target, mutant = running.pop(child)
        if mutant is AS_IT_IS:
            rehearsed(target, status, usage.ru_utime + usage.ru_stime, tree)
        else:
            target.outcomes[_outcome(status)].append(mutant)
        (tree / target.path).write_text(target.source)
        trees.append(tree)
        print(
            f"\r{total - len(waiting) - len(running)}/{total}", end="", file=sys.stderr, flush=True
        )


def rehearsed(target: Target, status: int, seconds: float, tree: Path) -> None:
    """Note how long the tests take, and go on only if they pass: those that fail anyway would catch
    everything.
    """
    if status:
        sys.exit(
            f"{target.path}: the tests fail without a mutant\n{(tree / 'log').read_text()[-4000:]}"
        )
    target.seconds = 20 + 5 * int(seconds)


def load_libraries(tree: Path) -> None:
    """Load, once for all forks, the libraries that the last one loaded."""
    noted = tree / "libraries"
    for name in noted.read_text().split() if noted.exists() else ():
        if not name.startswith(("warmstart", "test", "conftest", "__")):
            with suppress(ImportError):
                importlib.import_module(name)
    gc.freeze()  # forks share what the collector does not touch


def fork(tree: Path, target: Target, source: str) -> int:
    """The id of a child that tests the tree with this source in the place of the file."""
    (tree / target.path).write_text(source)
    for stale in (tree / target.path.parent / "__pycache__").glob(f"{target.path.stem}.*"):
        stale.unlink()  # two mutants of one second and one length look alike to the cache
    child = os.fork()
    if child == 0:
        _test(tree, target)
    return child


def _test(tree: Path, target: Target) -> NoReturn:
    """In the child: run the tests and end, never to return into the run of its parent."""
    resource.setrlimit(resource.RLIMIT_CPU, (target.seconds, target.seconds + 5))
    signal.alarm(20 * target.seconds)  # for what waits forever and takes no processor time
    log = os.open(tree / "log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.chdir(tree)
    sys.path.insert(0, str(tree / "src"))
    failed = 1
    try:
        options = [
            "--exitfirst",
            "--quiet",
            "--assert=plain",
            "-p",
            "no:cacheprovider",
            "-p",
            "no:xdist",
        ]
        failed = pytest.main(
            [*options, *target.tests], [Concerned(target.classes, tree / "libraries")]
        )
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(failed)


def _outcome(status: int) -> str:
    signalled = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
    assert signalled != signal.SIGKILL, (
        "somebody else ended a test, which says nothing; is there too little memory?"
    )
    if signalled in (signal.SIGXCPU, signal.SIGALRM):
        return "timeout"
    return "killed" if status else "survived"


def table(targets: list[Target]) -> str:
    """A row for each file, then what survived, as differences."""
    rows = [
        (target.path.name, {name: len(found) for name, found in target.outcomes.items()})
        for target in targets
    ]
    rows.append(
        (
            "all",
            {
                name: sum(counts[name] for _, counts in rows)
                for name in ("killed", "timeout", "survived")
            },
        )
    )
    lines = [f"{'':20} mutants  killed  timeout  survived   caught"]
    for name, n in rows:
        total = sum(n.values())
        caught = 1 - n["survived"] / max(total, 1)
        lines.append(
            f"{name:20} {total:7} {n['killed']:7} {n['timeout']:8} {n['survived']:9} {caught:8.1%}"
        )
    lines += [
        f"\n{t.path}:{mutant.line}\n{mutant.diff}"
        for t in targets
        for mutant in t.outcomes["survived"]
    ]
    return "\n".join(lines)


def as_json(targets: list[Target]) -> str:
    found = {
        str(target.path): {
            name: [{"line": mutant.line, "diff": mutant.diff} for mutant in outcome]
            for name, outcome in target.outcomes.items()
        }
        for target in targets
    }
    return json.dumps(found, indent=1)


def main() -> None:
    every = sorted(
        path.relative_to(ROOT / PACKAGE) for path in (ROOT / PACKAGE / "learners").glob("[!_]*.py")
    )
    parser = argparse.ArgumentParser(prog="mutation", description=__doc__)
    parser.add_argument(
        "files",
        nargs="*",
        type=Path,
        default=every,
        help="below src/warmstart; all learners if none",
    )
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument(
        "--json", type=Path, help="where to write every mutant and what became of it"
    )
    asked = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    sys.dont_write_bytecode = False  # what is not mutated need not be compiled for each fork
    with tempfile.TemporaryDirectory() as scratch:
        trees = [_copy(Path(scratch) / str(n)) for n in range(asked.workers)]
        targets = [target(trees[0], PACKAGE / file) for file in asked.files]
        os.waitpid(fork(trees[0], targets[0], targets[0].source), 0)
        load_libraries(trees[0])
        run(targets, trees)
    print(f"\n{table(targets)}")
    if asked.json:
        asked.json.write_text(as_json(targets), encoding="utf-8")


def _copy(tree: Path) -> Path:
    for name in ("src", "tests"):
        shutil.copytree(ROOT / name, tree / name)
    shutil.copy(ROOT / "pyproject.toml", tree)
    return tree


if __name__ == "__main__":
    main()
