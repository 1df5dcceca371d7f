"""The stacked scorer against its sum written out, and on data whose new items only the latest
events have.
"""

import itertools
from dataclasses import replace
from functools import wraps

import numpy as np
import pytest
import torch

from warmstart.baselines import Popularity
from warmstart.durations import Deadline
from warmstart.ensemble.combiner import MAX_SHOTS, Combiner
from warmstart.ensemble.combiner_training import CandidateSampler, TrainingCases, fit_combiner
from warmstart.ensemble.count_features import FEATURE_NAMES, ITEM_FEATURE_NAMES, CountFeatures
from warmstart.ensemble.stacked import BaseScorers, StackedScorer
from warmstart.evaluation.evaluate import evaluate
from warmstart.evaluation.validation import overall
from warmstart.learners import CORE
from warmstart.tasks.examples import Examples
from warmstart.tasks.scenarios import NEXT_CLICK, ScenarioOptions, cross_domain
from warmstart.tasks.split import Split
from warmstart.tasks.tasks import QuerySpec, TaskBatch, Tasks
from warmstart.training import registry as recipes
from warmstart.training.baseline_recipe import BaselineRecipe
from warmstart.training.loop import train
from warmstart.training.meta_recipe import MetaLearnerRecipe
from warmstart.training.registry import RECIPES
from warmstart.training.requests import FitRequest
from warmstart.training.schedule import Schedule
from warmstart.training.stacked_recipe import StackedRecipe

ITEMS = 40
QUICK = {"judge_steps": 2, "judge_cases": 100}
NO_SOURCE = np.zeros(ITEMS, dtype=bool)  # all items may be an answer


@pytest.fixture
def past(examples) -> Examples:
    rng = np.random.default_rng(0)
    return examples([rng.integers(0, ITEMS, rng.integers(1, 6)).tolist() for _ in range(50)])


@pytest.fixture
def support(examples) -> Examples:
    return examples([[3, 8, 1], [], [7], [2, 9, 4, 4, 5, 6]])


def popular(past: Examples) -> Popularity:
    return Popularity.fit(Tasks(past, ordered=True), items=ITEMS)


def only_popularity(past: Examples) -> BaseScorers:
    return BaseScorers({"popularity": popular(past)})


def combiner(seed: int = 0) -> Combiner:
    torch.manual_seed(seed)
    made = Combiner(8)
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return made


@torch.no_grad()
def test_every_score_is_the_hidden_layer_written_out(past, support):
    features, network = CountFeatures.fit(past, True, NO_SOURCE), combiner()
    stack = StackedScorer(only_popularity(past), features, network)
    scores = stack.score(stack.adapt(support), np.arange(ITEMS))
    base, found = stack.base_scorers.scores(support), features.extract(support)
    values = np.zeros((len(support), ITEMS, len(FEATURE_NAMES)), dtype=np.float32)
    values[found.task, found.item] = found.values
    for t, shots in enumerate(support.counts):
        for item in range(ITEMS):
            hidden = (
                network.of_base * float(base[t, item])
                + torch.from_numpy(values[t, item]) @ network.of_said
            )
            hidden = (
                hidden
                + network.of_item(torch.from_numpy(features.item_features[item]))
                + network.of_shots[min(shots, MAX_SHOTS)]
            )
            wanted = float(base[t, item]) + float(hidden.clamp(min=0) @ network.out)
            assert scores[t, item] == pytest.approx(wanted, rel=1e-4, abs=1e-4)


def test_logits_become_the_log_lift_over_the_mean_likelihood(past, support):
    class Logits(Popularity):
        def score(self, state, items):
            return np.log(2 * super().score(state, items) + 0.1)

    found = BaseScorers({"one": Logits(popular(past).popular)}, logits=["one"]).scores(support)
    chance = 2 * popular(past).popular + 0.1
    np.testing.assert_allclose(found[0], np.log(chance / chance.mean()) / 3, rtol=1e-4, atol=1e-5)


def test_scores_of_any_scale_become_the_same_z_scores(past, support):
    class Scaled(Popularity):
        def score(self, state, items):
            return 50 * super().score(state, items) - 7

    one, other = (
        BaseScorers({"one": of(popular(past).popular)}).scores(support)
        for of in (Popularity, Scaled)
    )
    np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(one.mean(axis=1), 0, atol=1e-5)
    np.testing.assert_allclose(one.std(axis=1), 1, rtol=1e-4)


def test_several_base_scorers_are_averaged(past, support):
    class Reversed(Popularity):
        def score(self, state, items):
            return -3 * super().score(state, items) ** 2

    parts = {"one": popular(past), "other": Reversed(popular(past).popular)}
    found = BaseScorers(parts, logits=["other"]).scores(support)
    apart = [
        BaseScorers({name: part}, logits=["other"]).scores(support) for name, part in parts.items()
    ]
    np.testing.assert_allclose(found, (apart[0] + apart[1]) / 2, rtol=1e-5)


def test_before_training_the_scores_are_those_of_the_base_scorers(past, support):
    stack = StackedScorer(
        only_popularity(past), CountFeatures.fit(past, True, NO_SOURCE), Combiner(8)
    )
    np.testing.assert_array_equal(stack.adapt(support), stack.base_scorers.scores(support))


def test_with_sessions_is_a_stack_that_counted_them_from_the_beginning(past, support, examples):
    more = examples([[39, 38], [8, 39]])
    stack = StackedScorer(
        only_popularity(past), CountFeatures.fit(past, True, NO_SOURCE), combiner()
    )
    whole = StackedScorer(
        stack.base_scorers, CountFeatures.fit(past, True, NO_SOURCE).with_sessions(more), combiner()
    )
    before = stack.adapt(support)
    np.testing.assert_array_equal(stack.with_sessions(more).adapt(support), whole.adapt(support))
    np.testing.assert_array_equal(stack.adapt(support), before)  # the old one is as it was
    assert not np.array_equal(before, whole.adapt(support))


def prefixes(examples, query_spec: QuerySpec) -> TaskBatch:
    return TaskBatch(
        examples([[3, 8], [7, 1, 7], []]), examples([[9], [3], [0]]), query_spec=query_spec
    )


@torch.no_grad()
@pytest.mark.parametrize(
    "query_spec",
    [QuerySpec(allow_repeats=True), QuerySpec(candidates=np.arange(0, ITEMS, 3)), QuerySpec()],
)
def test_the_loss_is_the_cross_entropy_over_the_whole_catalogue(past, examples, query_spec):
    batch, network = prefixes(examples, query_spec), combiner()
    stack = StackedScorer(only_popularity(past), CountFeatures.fit(past, True, NO_SOURCE), network)
    cases = TrainingCases(stack.base_scorers, stack.count_features, batch, np.random.default_rng(0))
    scores = torch.from_numpy(stack.adapt(batch.support))
    scores[:, query_spec.non_candidates(ITEMS)] = -torch.inf
    if not query_spec.allow_repeats:
        scores[batch.support.task, batch.support.item] = -torch.inf
    wanted = torch.nn.functional.cross_entropy(scores, torch.from_numpy(batch.query.item))
    assert float(cases.loss(network, torch.arange(3))) == pytest.approx(float(wanted), rel=1e-4)


def test_candidates_stand_for_all_items_and_the_next_event_is_one_of_them(past, examples):
    batch = prefixes(examples, QuerySpec())
    cases = TrainingCases(
        only_popularity(past),
        CountFeatures.fit(past, True, NO_SOURCE),
        batch,
        np.random.default_rng(0),
        CandidateSampler(likely=4, featured=3, drawn=12),
    )
    assert cases.item[:, 0].tolist() == batch.query.item.tolist()
    stood_for = cases.log_weight.exp().sum(dim=1)
    np.testing.assert_allclose(
        stood_for, [ITEMS - len(set(events)) for events in ([3, 8], [7, 1, 7], [])], rtol=1e-4
    )
    for t in range(3):
        counted = cases.item[t, : 1 + 4 + 3][cases.log_weight[t, : 1 + 4 + 3] == 0]
        assert len(counted.unique()) == len(counted)


def drifting(sessions: int) -> Split:
    """Sessions whose items are a window that moves with time: the next item is always a new one."""
    rng = np.random.default_rng(1)
    first = np.linspace(0, 300, sessions).astype(int)[:, None]
    item = first + rng.permuted(np.tile(np.arange(20), (sessions, 1)), axis=1)[:, :4]
    tasks = Tasks(
        Examples(item.ravel(), np.ones(item.size, dtype=np.float32), np.arange(sessions + 1) * 4),
        ordered=True,
        query_spec=NEXT_CLICK,
    )
    ends = (0, sessions - 200, sessions - 100, sessions)
    train, valid, test = (tasks.take(np.arange(a, b)) for a, b in itertools.pairwise(ends))
    return Split(train, valid, test, n_items=320, least_events=2)


def test_popularity_in_the_latest_sessions_is_used():
    split = drifting(2000)
    plain = recipes.fit("popularity", FitRequest(split)).scorer
    stack = StackedRecipe({"popularity": BaselineRecipe(Popularity)}).fit(
        "stack", FitRequest(split, settings={"judge_steps": 200, "judge_cases": 4000})
    )
    reached, bar = (
        evaluate(one, split.test, shots=(1,)).values["ndcg@10"][1].mean()
        for one in (stack.scorer.with_sessions(split.valid.events), plain)
    )
    assert bar < 0.1 < 0.15 < reached  # the best guess among twenty is worth about .23


def test_the_combiner_is_trained_on_tasks_that_its_inputs_have_not_seen(monkeypatch):
    split = drifting(3000)
    seen: dict[str, Tasks] = {}

    @wraps(fit_combiner)
    def spied(base, features, later, **settings):
        seen.update(later=later, features=Tasks(features.past, ordered=True))
        return fit_combiner(base, features, later, **settings)

    def fitted(self, name, order):
        seen["base"] = order.split.train
        return fit(self, name, order)

    fit = BaselineRecipe.fit
    monkeypatch.setattr("warmstart.training.stacked_recipe.fit_combiner", spied)
    monkeypatch.setattr(BaselineRecipe, "fit", fitted)
    stack = (
        StackedRecipe({"popularity": BaselineRecipe(Popularity)})
        .fit("stack", FitRequest(split, settings=QUICK))
        .scorer
    )
    whole = split.train.events.item
    assert len(seen["later"]) == 560  # a fifth
    for part in ("base", "features"):
        np.testing.assert_array_equal(
            np.concatenate([seen[part].events.item, seen["later"].events.item]), whole
        )
    np.testing.assert_array_equal(stack.count_features.past.item, whole)


def test_the_combiner_is_trained_on_tasks_like_those_that_are_served(clicks, monkeypatch):
    split = cross_domain(
        clicks(users=100, items=40, events=250), options=ScenarioOptions(target="films")
    )
    seen = []
    monkeypatch.setattr(
        "warmstart.training.stacked_recipe.fit_combiner",
        lambda base, features, later, **_: seen.append(later) or Combiner(4),
    )
    StackedRecipe({"popularity": BaselineRecipe(Popularity)}).fit("stack", FitRequest(split))
    assert len(seen[0]) and seen[0].servable.all() and not split.train.servable.all()


CORE_RECIPE = MetaLearnerRecipe(
    CORE, {"dim": 8, "steps": 40, "tasks": 64, "rate": 0.02, "validate_every": 20}, ("ranking",)
)


@pytest.fixture
def runs(monkeypatch) -> list[tuple[Tasks, Schedule]]:
    """The tasks and the schedule of every training from here on."""
    runs = []

    def spied(model, tasks, validate, **how):
        runs.append((tasks, how["schedule"]))
        return train(model, tasks, validate, **how)

    monkeypatch.setattr("warmstart.training.meta_recipe.train", spied)
    return runs


def test_a_network_continues_with_the_tasks_of_its_combiner(runs):
    split = drifting(2000)
    stack = StackedRecipe({"core": CORE_RECIPE}).fit("stack", FitRequest(split, settings=QUICK))
    (earlier, first), (whole, then) = runs
    assert len(earlier) == 1440 and len(whole) == 1800
    assert (first.steps, then.steps) == (40, 3) and then.rate == first.rate / 4
    assert stack.tasks == 64 * 43


def test_continued_training_is_no_worse_and_leaves_the_old_model_unchanged():
    split = drifting(2000)
    longer = {"steps": 300, "rate": 0.05}
    before = CORE_RECIPE.fit(
        "core", FitRequest(replace(split, train=split.train.take(np.arange(1440))), settings=longer)
    )
    kept = {name: array.copy() for name, array in before.scorer.arrays().items()}
    after = CORE_RECIPE.continue_training(before, FitRequest(split))
    assert overall(after.valid) > overall(before.valid)
    assert after.fit_seconds > before.fit_seconds
    for name, array in before.scorer.arrays().items():
        np.testing.assert_array_equal(array, kept[name])
    hurried = CORE_RECIPE.continue_training(
        before, FitRequest(split, settings={"rate": 1e9}, deadline=Deadline(1e-3))
    )
    assert hurried.tasks - before.tasks == 64  # a step at least


def test_a_network_with_experts_is_not_trained_further(board, runs):
    settings = {
        "dim": 8,
        "steps": 4,
        "tasks": 8,
        "validate_every": 4,
        "judge_cases": 50,
        "judge_steps": 4,
    }
    recipes.fit("stacked-blend", FitRequest(board, settings=settings))
    ((tasks, _),) = runs
    assert len(tasks) < len(board.train)


def test_a_combiner_is_the_same_for_a_seed(past):
    tasks = Tasks(past, ordered=True, query_spec=NEXT_CLICK)
    settings = {"judge_units": 4, "judge_cases": 60, "judge_steps": 10}
    one, same, other = (
        fit_combiner(
            only_popularity(past),
            CountFeatures.fit(past, True, NO_SOURCE),
            tasks,
            seed=seed,
            **settings,
        ).of_item.weight
        for seed in (3, 3, 4)
    )
    assert one.shape == (4, len(ITEM_FEATURE_NAMES))
    assert torch.equal(one, same) and not torch.equal(one, other)


def test_without_later_tasks_the_scores_are_those_of_the_base_scorers(past, support):
    nothing = Tasks(past.take(np.array([], dtype=int)), ordered=True, query_spec=NEXT_CLICK)
    untrained = fit_combiner(
        only_popularity(past), CountFeatures.fit(past, True, NO_SOURCE), nothing, seed=0
    )
    stack = StackedScorer(
        only_popularity(past), CountFeatures.fit(past, True, NO_SOURCE), untrained
    )
    np.testing.assert_array_equal(stack.adapt(support), stack.base_scorers.scores(support))


def test_saved_and_restored_by_its_recipe(board):
    settings = {
        "dim": 8,
        "steps": 4,
        "tasks": 8,
        "validate_every": 4,
        "judge_cases": 50,
        "judge_steps": 4,
    }
    one = recipes.fit("stacked-blend", FitRequest(board, settings=settings))
    again = RECIPES["stacked-blend"].restore(one.scorer.arrays(), one.settings)
    batch = board.test.cut(2)
    np.testing.assert_array_equal(again.adapt(batch.support), one.scorer.adapt(batch.support))
