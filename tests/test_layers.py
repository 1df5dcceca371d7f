"""The layers: every module imports downwards only, and learners know nothing but their contract."""

import ast
from pathlib import Path

import warmstart

ROOT = Path(warmstart.__file__).parent
LAYERS = (
    ("cli",),
    ("operations",),
    ("service",),
    ("options",),
    ("terminal", "arguments"),
    ("told",),
    ("efficiency",),
    ("page",),
    ("charts",),
    ("board",),
    ("comparison", "fitting"),
    ("race",),
    ("gate", "recommender", "report"),
    ("lists",),
    ("asked",),
    (
        "recipes",
        "folder",
        "answer",
        "additions",
        "cost",
        "budget",
        "intervals",
        "insight",
        "exploration",
        "filters",
    ),
    ("explanation",),
    ("words",),
    ("stacking",),
    ("tuning",),
    ("training", "checks", "counterfactual", "reasons"),
    ("fidelity", "movement"),
    (
        "validation",
        "calibration",
        "error_bars",
        "interest",
        "stack",
        "start",
        "synthetic",
        "reading",
        "influence",
    ),
    ("events", "roles"),
    ("findings", "judge", "sources"),
    ("bases", "evaluation", "memory", "neighbours", "by_shots", "widened", "tastes"),
    ("trained",),
    ("classics", "factors", "metrics", "scenarios", "model"),
    ("scorer", "encoder", "evidence", "learners", "rounds"),
    ("foretold",),
    ("beliefs", "dual", "entries", "followers", "likeness", "precision"),
    ("head", "pool", "sequence"),
    ("learner", "tasks"),
    ("domains", "features", "history"),
    ("interactions",),
    ("arrays", "columns", "faults"),
    ("errors",),
)
LEVEL = {name: -depth for depth, names in enumerate(LAYERS) for name in names}
VIEWS = {
    ("report", "board"),
    ("report", "page"),
}  # a report shows itself, by an import where it is shown
NO_TORCH = (
    "scorer",
    "metrics",
    "evaluation",
    "evidence",
    "memory",
    "precision",
    "likeness",
    "followers",
    "domains",
    "calibration",
    "error_bars",
    "interest",
    "tasks",
    "scenarios",
    "features",
    "interactions",
    "reading",
    "classics",
    "factors",
    "rounds",
    "beliefs",
    "influence",
    "fidelity",
    "counterfactual",
    "movement",
    "tastes",
    "reasons",
    "words",
    "explanation",
    "insight",
)


def modules() -> dict[Path, str]:
    """Each file with the name of its module, or of its package below warmstart."""
    return {
        path: path.relative_to(ROOT).parts[0].removesuffix(".py") for path in ROOT.rglob("*.py")
    }


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found |= {
                f"warmstart.{alias.name}" for alias in node.names if node.module == "warmstart"
            }
    return found


def own(path: Path) -> set[str]:
    return {name.split(".")[1] for name in imports(path) if name.startswith("warmstart.")}


def test_every_module_has_its_layer():
    assert set(modules().values()) - {"__init__"} == set(LEVEL)


def test_imports_go_downwards_only():
    upwards = [
        f"{path.name} imports {other}"
        for path, name in modules().items()
        if name != "__init__"
        for other in own(path) - {name}
        if other in LEVEL and LEVEL[other] >= LEVEL[name] and (name, other) not in VIEWS
    ]
    assert upwards == []


def test_learners_import_their_contract_alone():
    for path in (ROOT / "learners").glob("[!_]*.py"):
        assert "learner" in own(path) <= {"learner", "dual", "head", "pool", "sequence"}, path.name


def test_what_is_true_of_any_scorer_needs_no_torch():
    with_torch = [
        path.name
        for path, name in modules().items()
        if name in NO_TORCH and any(found.split(".")[0] == "torch" for found in imports(path))
    ]
    assert with_torch == []


def test_there_are_at_most_25_public_names():
    assert len(warmstart.__all__) <= 25
    assert all(hasattr(warmstart, name) for name in warmstart.__all__)
