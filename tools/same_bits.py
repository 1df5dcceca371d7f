"""Golden run: whether two checkouts fit the same models and give the same lists, to the last bit.

Run it in each checkout on the same machine, then compare the two files:

    OMP_NUM_THREADS=1 python tools/same_bits.py --out before.json
    OMP_NUM_THREADS=1 python tools/same_bits.py --out after.json --against before.json

Bits depend on the processor and on the libraries, so golden values are never committed. Only the
public interface is used, so that the insides may be renamed and moved between the two. Arrays are
compared by content, whatever their names.
"""

import argparse
import hashlib
import json
import sys
import tempfile
from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

import warmstart as ws

SMALL = {
    "dim": 16,
    "steps": 60,
    "tasks": 32,
    "validate_every": 20,
    "rate": 0.01,
    "most_shots": 8,
    "queries": 6,
}
NEWER = {
    "tasks": "meta_batch_size",
    "most_shots": "max_shots",
    "queries": "max_queries",
    "rate": "learning_rate",
}
"""Settings by names that they have had since."""
OTHER_SCENARIOS = (
    "popularity",
    "item-knn",
    "ease",
    "session-knn",
    "in-context",
    "blend",
    "gru4rec",
    "stacked-core",
)
SESSION = 3_600.0  # seconds without an event that end a session
HISTORY = 5  # the items of the longest history


def recipes() -> Mapping[str, Any]:
    home = "warmstart.recipes" if find_spec("warmstart.recipes") else "warmstart.training.registry"
    return import_module(home).RECIPES


def synthetic_log() -> ws.Interactions:
    make = getattr(ws, "synthetic_shop", None) or ws.shop
    try:
        return make(users=300, seed=1)
    except TypeError:
        return make(owners=300, seed=1)


def settings_of(recipe: Any) -> dict[str, Any]:
    """As little training as tells two programs apart, under the names that the recipe has for
    it.
    """
    options = recipe.options
    if "steps" not in options and "training.steps" not in options:
        return {}
    named = {name: value for name, value in SMALL.items() if name in options}
    newer = {NEWER[name]: value for name, value in SMALL.items() if NEWER.get(name) in options}
    less = {name: 300 if name.endswith("cases") else 30 for name in options if name in LATER}
    return {**named, **newer, **less}


LATER = ("judge_cases", "judge_steps", "combiner_cases", "combiner_steps")


def fingerprint(model: ws.Recommender, folder: Path) -> dict[str, Any]:
    """The arrays of a saved model by their hashes, and what it recommends before and after it was
    saved.
    """
    model.save(folder)
    arrays = load_file(folder / "weights.safetensors")
    arrays |= {path.stem: np.load(path) for path in (folder / "arrays").glob("*.npy")}
    hashes = sorted(_hash(array) for array in arrays.values() if array.size)
    ids = [item for item in model.items.ids.to_list()[:HISTORY]]
    histories = [ids[:shots] for shots in (0, 1, HISTORY)]
    lists = [_of_answer(model, history) for history in histories]
    assert lists == [_of_answer(ws.load(folder), history) for history in histories], (
        "loaded it is another model"
    )
    return {"arrays": hashes, "lists": lists}


def _of_answer(model: ws.Recommender, history: list[Any]) -> list[list[Any]]:
    return [[str(one.item), float(one.score).hex()] for one in model.recommend(history, 8).items]


def _hash(array: np.ndarray) -> str:
    content = np.ascontiguousarray(array)
    return hashlib.sha256(
        f"{content.dtype}{content.shape}".encode() + content.tobytes()
    ).hexdigest()[:16]


def run(only: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    data = synthetic_log()
    cases = [
        (name, objective, "user")
        for name, recipe in recipes().items()
        for objective in recipe.objectives
        if name not in ("auto", "learn2learn")
    ]
    cases += [
        (name, "ranking", scenario) for scenario in ("item", "session") for name in OTHER_SCENARIOS
    ]
    for name, objective, scenario in cases:
        case = f"{name} {objective} {scenario}"
        if only not in case:
            continue
        print(case, file=sys.stderr, flush=True)
        gap = SESSION if scenario == "session" else None
        model = ws.fit(
            data,
            learner=name,
            objective=objective,
            scenario=scenario,
            options=ws.ScenarioOptions(gap=gap),
            settings=settings_of(recipes()[name]),
        )
        with tempfile.TemporaryDirectory() as folder:
            found[case] = fingerprint(model, Path(folder) / "model")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--against", type=Path)
    parser.add_argument("--only", default="", help="only cases whose name holds this text")
    arguments = parser.parse_args()
    found = run(arguments.only)
    arguments.out.write_text(json.dumps(found, indent=1))
    if arguments.against is None:
        return 0
    before = json.loads(arguments.against.read_text())
    before = {case: value for case, value in before.items() if arguments.only in case}
    other = [case for case in {**before, **found} if before.get(case) != found.get(case)]
    for case in other:
        old, new = before.get(case), found.get(case)
        parts = (
            ["missing"]
            if old is None or new is None
            else [part for part in new if old[part] != new[part]]
        )
        print(f"{case}: {', '.join(parts)}")
    print(f"{len(found) - len(other)} of {len(found)} cases are the same to the last bit")
    return bool(other)


if __name__ == "__main__":
    sys.exit(main())
