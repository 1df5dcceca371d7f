"""The mutants: each wrong in one place, and only where a program runs."""

import runpy
from pathlib import Path

import pytest

make = runpy.run_path(str(Path(__file__).parents[3] / "tools/mutation/mutants.py"))["mutants"]


def added(source: str) -> list[str]:
    """What the mutants have in place of the lines that they changed."""
    return [
        line[1:].strip()
        for mutant in make(source)
        for line in mutant.diff.splitlines()
        if line.startswith("+")
    ]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("a = b + c", ["a = (b - c)"]),
        ("a = b**c", ["a = (b * c)"]),
        ("a = b < c", ["a = (b <= c)"]),
        ("a = b and c", ["a = (b or c)"]),
        ("a = not b", ["a = b"]),
        ("a = -b", ["a = b"]),
        ("a = b.sum(dim=-1)", ["a = b", "a = b.sum(dim=0)", "a = b.sum(dim=-2)"]),
        ("a = True", ["a = False"]),
        ("a = 0.5", ["a = 0.75"]),
        ("a = 0.0", ["a = 1.0"]),
        ("a = b if c else d", ["a = (d if c else b)"]),
        ("a = f(b, c)", ["a = f(c, b)", "a = b"]),
        ("a = self.f(b)", ["a = b"]),
        ("a = self.b.exp()", ["a = self.b"]),
        ("a = B(c, d)", ["a = B(d, c)"]),
        ("a = range(b)", []),
        ("a = super().f()", []),
    ],
)
def test_a_line_is_deleted_and_changed(line, expected):
    assert sorted(added(line)) == sorted(["pass", *expected])


def test_a_function_of_a_module_gives_way_to_its_argument():
    assert "a = b" in added("import torch\na = torch.linalg.inv(b)")


def test_conditions_are_negated_and_defaults_changed():
    found = added('def f(a: int = 1, *, b: str = "x") -> int:\n    if a:\n        g()')
    assert {
        "if not (a):",
        'def f(a: int = 2, *, b: str = "x") -> int:',
        "def f(a: int = 1, *, b: str = 'x?') -> int:",
    } < {*found}


@pytest.mark.parametrize(
    "source",
    [
        "import a",
        '"""Says what it is."""',
        "class A(B[1]):\n    c: D[2]",
        "@a(1)\nclass B:\n    '''It is.'''",
    ],
)
def test_what_does_not_run_is_left_alone(source):
    assert make(source) == []


def test_positions_count_bytes_and_lines():
    (deleted, changed) = make('a = "é"  # ä\nb = c + d\n')[1:]
    assert {deleted.source, changed.source} == {
        'a = "é"  # ä\npass\n',
        'a = "é"  # ä\nb = (c - d)\n',
    }
    assert deleted.line == changed.line == 2
