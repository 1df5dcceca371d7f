"""Learners from outside: a class, an import path, an entry point; saved, loaded, refused."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import warmstart as ws
from warmstart.training.baseline_recipe import BaselineRecipe
from warmstart.training.meta_recipe import MetaLearnerRecipe
from warmstart.training.outside import recipe_of
from warmstart.training.registry import RECIPES, named

STACK_SMALL = {"judge_cases": 200, "judge_steps": 20}
SMALL = {"steps": 5, "validate_every": 5, "dim": 8, "tasks": 16}
MODULE = '''
import torch
from torch import nn
from warmstart.baselines import Popularity
from warmstart.learners import Learner
from warmstart.training.baseline_recipe import BaselineRecipe
from warmstart.training.stacked_recipe import StackedRecipe

class Average(Learner):
    """Moves the prior towards the mean of the support set."""

    def __init__(self, dim, *, objective="ranking", strength: float = 1.0):
        super().__init__(objective=objective)
        self.weight = nn.Parameter(torch.full((dim,), strength))

    def adapt(self, support, candidates):
        count = support.mask.sum(dim=1, keepdim=True).clamp(min=1)
        rows = support.x.masked_fill(~support.mask.unsqueeze(-1), 0.0)
        return support.prior + self.weight * rows.sum(dim=1) / count

    def score(self, state, x):
        return state @ x.mT if x.ndim == 2 else (x @ state.unsqueeze(-1)).squeeze(-1)

class Wide(Average):
    def score(self, state, x):
        return super().score(state, x).unsqueeze(-1)

class Numbers(Average):
    def score(self, state, x):
        return super().score(state, x).detach().numpy()

class Unmasked(Average):
    def adapt(self, support, candidates):
        return support.prior + support.x.sum(dim=1) / support.mask.sum(dim=1, keepdim=True)

class Broken(Average):
    def adapt(self, support, candidates):
        return support.prior + candidates.x

class NoObjective(Learner):
    def __init__(self, size):
        super().__init__(objective="ranking")
    adapt = score = None

class Noted(Average):
    def __init__(self, dim, *, objective="ranking", note="none"):
        super().__init__(dim, objective=objective)

class Count(Popularity):
    """Popularity under another name."""

STACK = StackedRecipe({"count": BaselineRecipe(Count)})

class RankingOnly(Average):
    objectives = ("ranking",)
'''


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the path with the module `outside_learners`, and its entry point."""
    folder = tmp_path / "site"
    (folder / "outside_learners-1.0.dist-info").mkdir(parents=True)
    (folder / "outside_learners.py").write_text(MODULE)
    facts = folder / "outside_learners-1.0.dist-info"
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: outside-learners\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text(
        "[warmstart.learners]\nits-average = outside_learners:Average\n"
    )
    monkeypatch.syspath_prepend(str(folder))
    yield folder
    sys.modules.pop("outside_learners", None)


def learner(name: str) -> type:
    import outside_learners  # pyright: ignore[reportMissingImports]

    return getattr(outside_learners, name)


def test_a_class_is_fitted_saved_and_loaded(package, log, tmp_path):
    model = ws.fit(log, learner=learner("Average"), settings=SMALL)
    assert model.learner == "outside_learners:Average"
    model.save(tmp_path / "m")
    again = ws.load(tmp_path / "m")
    assert again.recommend([100, 109]) == model.recommend([100, 109])


@pytest.mark.parametrize("name", ["outside_learners:Average", "its-average"])
def test_a_name_leads_to_a_learner_outside(package, log, tmp_path, name):
    model = ws.fit(log, learner=name, settings={**SMALL, "strength": 2.0})
    assert model.learner == name and model.settings["strength"] == 2.0
    model.save(tmp_path / "m")
    assert ws.load(tmp_path / "m").recommend([100]) == model.recommend([100])


def test_a_recipe_of_ones_own_is_fitted(package, log, tmp_path):
    recipe = MetaLearnerRecipe(learner("Average"), {**SMALL, "strength": 3.0})
    model = ws.fit(log, learner=recipe)
    model.save(tmp_path / "m")
    assert ws.load(tmp_path / "m").recommend([100]) == model.recommend([100])


def test_a_baseline_of_ones_own_is_fitted_saved_and_loaded(package, log, tmp_path):
    for one in (learner("Count"), BaselineRecipe(learner("Count"))):
        model = ws.fit(log, learner=one)
        assert model.learner == "outside_learners:Count"
        model.save(tmp_path / "m")
        assert ws.load(tmp_path / "m").recommend([100]) == model.recommend([100])


def test_a_recipe_of_this_package_keeps_its_name(log):
    assert ws.fit(log, learner=RECIPES["popularity"]).learner == "popularity"


def test_a_stack_is_found_again_by_the_name_of_its_recipe(package, log, tmp_path):
    with pytest.raises(ws.UsageError, match='name it "module:RECIPE"'):
        ws.fit(log, learner=learner("STACK"))
    model = ws.fit(log, learner="outside_learners:STACK", settings=STACK_SMALL)
    model.save(tmp_path / "m")
    assert ws.load(tmp_path / "m").recommend([100]) == model.recommend([100])


def test_a_setting_that_is_a_text_takes_texts_only(package, log):
    settings = {**SMALL, "note": "more"}
    assert ws.fit(log, learner=learner("Noted"), settings=settings).settings["note"] == "more"
    with pytest.raises(ws.UsageError, match='"note" is a text'):
        ws.fit(log, learner=learner("Noted"), settings={"note": 3})


def test_learners_outside_are_compared_with_the_baselines(package, log):
    learners = [learner("Average"), "its-average", BaselineRecipe(learner("Count"))]
    report = ws.evaluate(log, learners, shots=[0, 2], settings=SMALL)
    expected = {"outside_learners:Average", "its-average", "outside_learners:Count", "popularity"}
    assert expected <= {row.learner for row in report.rows}


def test_a_model_whose_learner_is_missing_says_which(package, log, tmp_path, monkeypatch):
    ws.fit(log, learner=learner("Average"), settings=SMALL).save(tmp_path / "m")
    (package / "outside_learners.py").unlink()
    sys.modules.pop("outside_learners")
    with pytest.raises(ws.NotFitted, match='fitted by the learner "outside_learners:Average"'):
        ws.load(tmp_path / "m")


def test_a_model_whose_learner_has_changed_says_so(package, log, tmp_path):
    ws.fit(log, learner=learner("Average"), settings=SMALL).save(tmp_path / "m")
    changed = MODULE.replace("self.weight", "self.factor")
    (package / "outside_learners.py").write_text(changed)
    sys.modules.pop("outside_learners")
    sys.dont_write_bytecode, before = True, sys.dont_write_bytecode
    try:
        for cached in package.glob("__pycache__/*"):
            cached.unlink()
        with pytest.raises(ws.NotFitted, match="by another version of the learner"):
            ws.load(tmp_path / "m")
    finally:
        sys.dont_write_bytecode = before


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Wide", r"score of \(T, Q, D\) items has the shape \(T, Q\) = \(2, 4\), not \(2, 4, 1\)"),
        ("Numbers", r"score of \(T, Q, D\) items is a tensor \(T, Q\), not a ndarray"),
        ("Unmasked", "is finite, also for a task without events"),
        ("Broken", "adapt raised RuntimeError: The size of tensor a"),
        ("NoObjective", r"__init__ raised TypeError: .*size"),
    ],
)
def test_what_breaks_the_contract_is_one_clear_line(package, log, name, message):
    with pytest.raises(ws.UsageError, match=message) as refused:
        ws.fit(log, learner=learner(name), settings={"steps": 5})
    assert "\n" not in str(refused.value)


def test_the_objectives_of_a_class_are_respected(package, log):
    with pytest.raises(ws.UsageError, match='has no objective "rating"'):
        ws.fit(log, learner=learner("RankingOnly"), objective="rating")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no_such_module:X", r'"no_such_module:X" cannot be imported \(No module named'),
        ("warmstart.learners:Nobody", "has no attribute 'Nobody'"),
        ("warmstart.learners:INNER_RATE", "cannot be imported|not a dict"),
        ("its-averages", 'did you mean "its-average"'),
    ],
)
def test_a_learner_that_is_not_there_is_refused(package, name, message):
    with pytest.raises(ws.UsageError, match=message):
        named(name)


def test_a_class_inside_a_function_is_refused(log):
    from warmstart.learners import Ridge

    class Local(Ridge):
        pass

    with pytest.raises(ws.UsageError, match="defined inside a function"):
        ws.fit(log, learner=Local)


def test_what_is_no_learner_is_refused():
    with pytest.raises(ws.UsageError, match="a learner is a name, an import path module:Class"):
        recipe_of(3)
