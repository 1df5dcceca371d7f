"""The stack against its sum written out, and on a world whose new items only the latest events
know.
"""

import itertools
from dataclasses import replace
from functools import wraps

import numpy as np
import pytest
import torch

from warmstart.baselines import Popularity
from warmstart.ensemble.base_scorers import BaseScorers
from warmstart.ensemble.combiner import MAX_SHOTS, Combiner, TrainingCandidates, fit_combiner
from warmstart.ensemble.count_features import FEATURE_NAMES, ITEM_FEATURE_NAMES, CountFeatures
from warmstart.ensemble.stacked import StackedScorer
from warmstart.evaluation.evaluate import evaluate
from warmstart.evaluation.validation import overall
from warmstart.learners import CORE
from warmstart.tasks.scenarios import NEXT_CLICK, ScenarioOptions, cross_domain
from warmstart.tasks.tasks import Examples, Question, Split, TaskBatch, Tasks
from warmstart.training import registry as recipes
from warmstart.training.loop import Schedule, train
from warmstart.training.registry import RECIPES
from warmstart.training.stacked_recipe import Stacked
from warmstart.training.tuning import Classic, Meta, Order

ITEMS = 40
QUICK = {"judge_steps": 2, "judge_cases": 100}
NOWHERE = np.zeros(ITEMS, dtype=bool)  # all items may be an answer


@pytest.fixture
def past(examples) -> Examples:
    rng = np.random.default_rng(0)
    return examples([rng.integers(0, ITEMS, rng.integers(1, 6)).tolist() for _ in range(50)])


@pytest.fixture
def support(examples) -> Examples:
    return examples([[3, 8, 1], [], [7], [2, 9, 4, 4, 5, 6]])


def popular(past: Examples) -> Popularity:
    return Popularity.fit(Tasks(past, ordered=True), items=ITEMS)


def alone(past: Examples) -> BaseScorers:
    return BaseScorers({"popularity": popular(past)})


def judge(seed: int = 0) -> Combiner:
    torch.manual_seed(seed)
    made = Combiner(8)
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return made


@torch.no_grad()
def test_every_score_is_the_hidden_layer_written_out(past, support):
    memory, weigh = CountFeatures.fit(past, True, NOWHERE), judge()
    stack = StackedScorer(alone(past), memory, weigh)
    scores = stack.score(stack.adapt(support), np.arange(ITEMS))
    base, heard = stack.base_scorers.scores(support), memory.extract(support)
    said = np.zeros((len(support), ITEMS, len(FEATURE_NAMES)), dtype=np.float32)
    said[heard.task, heard.item] = heard.values
    for t, shots in enumerate(support.counts):
        for item in range(ITEMS):
            hidden = (
                weigh.of_base * float(base[t, item])
                + torch.from_numpy(said[t, item]) @ weigh.of_said
            )
            hidden = (
                hidden
                + weigh.of_item(torch.from_numpy(memory.item_features[item]))
                + weigh.of_shots[min(shots, MAX_SHOTS)]
            )
            wanted = float(base[t, item]) + float(hidden.clamp(min=0) @ weigh.out)
            assert scores[t, item] == pytest.approx(wanted, rel=1e-4, abs=1e-4)


def test_logits_are_heard_as_the_likelihood_over_chance(past, support):
    class Logits(Popularity):
        def score(self, state, items):
            return np.log(2 * super().score(state, items) + 0.1)

    found = BaseScorers({"one": Logits(popular(past).popular)}, logits=["one"]).scores(support)
    chance = 2 * popular(past).popular + 0.1
    np.testing.assert_allclose(found[0], np.log(chance / chance.mean()) / 3, rtol=1e-4, atol=1e-5)


def test_scores_of_any_scale_are_heard_alike(past, support):
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


def test_several_bases_are_heard_as_their_mean(past, support):
    class Turned(Popularity):
        def score(self, state, items):
            return -3 * super().score(state, items) ** 2

    parts = {"one": popular(past), "other": Turned(popular(past).popular)}
    found = BaseScorers(parts, logits=["other"]).scores(support)
    apart = [
        BaseScorers({name: part}, logits=["other"]).scores(support) for name, part in parts.items()
    ]
    np.testing.assert_allclose(found, (apart[0] + apart[1]) / 2, rtol=1e-5)


def test_before_it_has_learned_it_says_what_the_base_says(past, support):
    stack = StackedScorer(alone(past), CountFeatures.fit(past, True, NOWHERE), Combiner(8))
    np.testing.assert_array_equal(stack.adapt(support), stack.base_scorers.scores(support))


def test_with_sessions_is_a_stack_whose_memory_began_with_them(past, support, examples):
    more = examples([[39, 38], [8, 39]])
    stack = StackedScorer(alone(past), CountFeatures.fit(past, True, NOWHERE), judge())
    whole = StackedScorer(
        stack.base_scorers, CountFeatures.fit(past, True, NOWHERE).with_sessions(more), judge()
    )
    before = stack.adapt(support)
    np.testing.assert_array_equal(stack.with_sessions(more).adapt(support), whole.adapt(support))
    np.testing.assert_array_equal(stack.adapt(support), before)  # the old one is as it was
    assert not np.array_equal(before, whole.adapt(support))


def prefixes(examples, question: Question) -> TaskBatch:
    return TaskBatch(
        examples([[3, 8], [7, 1, 7], []]), examples([[9], [3], [0]]), question=question
    )


@torch.no_grad()
@pytest.mark.parametrize(
    "question", [Question(again=True), Question(among=np.arange(0, ITEMS, 3)), Question()]
)
def test_the_loss_is_the_cross_entropy_over_the_whole_catalogue(past, examples, question):
    batch, weigh = prefixes(examples, question), judge()
    stack = StackedScorer(alone(past), CountFeatures.fit(past, True, NOWHERE), weigh)
    cases = TrainingCandidates(
        stack.base_scorers, stack.count_features, batch, np.random.default_rng(0)
    )
    scores = torch.from_numpy(stack.adapt(batch.support))
    scores[:, question.others(ITEMS)] = -torch.inf
    if not question.again:
        scores[batch.support.task, batch.support.item] = -torch.inf
    wanted = torch.nn.functional.cross_entropy(scores, torch.from_numpy(batch.query.item))
    assert float(cases.loss(weigh, torch.arange(3))) == pytest.approx(float(wanted), rel=1e-4)


def test_the_candidates_stand_for_all_items_and_what_came_is_one_of_them(
    past, examples, monkeypatch
):
    for name, size in (("LIKELY", 4), ("NAMED", 3), ("DRAWN", 12)):
        monkeypatch.setattr(f"warmstart.ensemble.combiner.{name}", size)
    batch = prefixes(examples, Question())
    cases = TrainingCandidates(
        alone(past), CountFeatures.fit(past, True, NOWHERE), batch, np.random.default_rng(0)
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
    """Sessions whose items are a window that moves on with time: what is asked is always among the
    newest.
    """
    rng = np.random.default_rng(1)
    first = np.linspace(0, 300, sessions).astype(int)[:, None]
    item = first + rng.permuted(np.tile(np.arange(20), (sessions, 1)), axis=1)[:, :4]
    tasks = Tasks(
        Examples(item.ravel(), np.ones(item.size, dtype=np.float32), np.arange(sessions + 1) * 4),
        ordered=True,
        question=NEXT_CLICK,
    )
    ends = (0, sessions - 200, sessions - 100, sessions)
    train, valid, test = (tasks.take(np.arange(a, b)) for a, b in itertools.pairwise(ends))
    return Split(train, valid, test, items=320, least_events=2)


def test_what_was_met_of_late_is_heard():
    split = drifting(2000)
    plain = recipes.fit("popularity", Order(split)).scorer
    stack = Stacked({"popularity": Classic(Popularity)}).fit(
        "stack", Order(split, settings={"judge_steps": 200, "judge_cases": 4000})
    )
    reached, bar = (
        evaluate(one, split.test, shots=(1,)).values["ndcg@10"][1].mean()
        for one in (stack.scorer.with_sessions(split.valid.events), plain)
    )
    assert bar < 0.1 < 0.15 < reached  # the best guess among twenty is worth about .23


def test_the_judge_learns_from_tasks_that_its_parts_have_not_seen(monkeypatch):
    split = drifting(3000)
    seen: dict[str, Tasks] = {}

    @wraps(fit_combiner)
    def spied(base, memory, later, **settings):
        seen.update(later=later, memory=Tasks(memory.past, ordered=True))
        return fit_combiner(base, memory, later, **settings)

    def fitted(self, name, order):
        seen["base"] = order.split.train
        return fit(self, name, order)

    fit = Classic.fit
    monkeypatch.setattr("warmstart.training.stacked_recipe.learned", spied)
    monkeypatch.setattr(Classic, "fit", fitted)
    stack = (
        Stacked({"popularity": Classic(Popularity)})
        .fit("stack", Order(split, settings=QUICK))
        .scorer
    )
    whole = split.train.events.item
    assert len(seen["later"]) == 560  # a fifth
    for part in ("base", "memory"):
        np.testing.assert_array_equal(
            np.concatenate([seen[part].events.item, seen["later"].events.item]), whole
        )
    np.testing.assert_array_equal(stack.memory.past.item, whole)  # in use it knows them, too


def test_the_judge_learns_from_tasks_such_as_are_served(clicks, monkeypatch):
    split = cross_domain(
        clicks(users=100, items=40, events=250), options=ScenarioOptions(target="films")
    )
    seen = []
    monkeypatch.setattr(
        "warmstart.training.stacked_recipe.learned",
        lambda base, memory, later, **_: seen.append(later) or Combiner(4),
    )
    Stacked({"popularity": Classic(Popularity)}).fit("stack", Order(split))
    assert len(seen[0]) and seen[0].alike_served.all() and not split.train.alike_served.all()


CORE_RECIPE = Meta(
    CORE, {"dim": 8, "steps": 40, "tasks": 64, "rate": 0.02, "validate_every": 20}, ("ranking",)
)


@pytest.fixture
def runs(monkeypatch) -> list[tuple[Tasks, Schedule]]:
    """The tasks and the schedule of every training from here on."""
    runs = []

    def spied(model, tasks, validate, **how):
        runs.append((tasks, how["schedule"]))
        return train(model, tasks, validate, **how)

    monkeypatch.setattr("warmstart.training.tuning.train", spied)
    return runs


def test_a_network_goes_on_with_the_tasks_that_its_judge_learned_from(runs):
    split = drifting(2000)
    stack = Stacked({"core": CORE_RECIPE}).fit("stack", Order(split, settings=QUICK))
    (earlier, first), (whole, then) = runs
    assert len(earlier) == 1440 and len(whole) == 1800
    assert (first.steps, then.steps) == (40, 3) and then.rate == first.rate / 4
    assert stack.tasks == 64 * 43


def test_going_on_makes_it_no_worse_and_leaves_what_there_was():
    split = drifting(2000)
    longer = {"steps": 300, "rate": 0.05}
    before = CORE_RECIPE.fit(
        "core", Order(replace(split, train=split.train.take(np.arange(1440))), settings=longer)
    )
    kept = {name: array.copy() for name, array in before.scorer.arrays().items()}
    after = CORE_RECIPE.go_on(before, Order(split))
    assert overall(after.valid) > overall(before.valid)  # it had not seen the newest items before
    assert after.fit_seconds > before.fit_seconds
    for name, array in before.scorer.arrays().items():
        np.testing.assert_array_equal(array, kept[name])
    hurried = CORE_RECIPE.go_on(before, Order(split, settings={"rate": 1e9}, seconds=1e-3))
    assert hurried.tasks - before.tasks == 64  # a step at least


def test_a_network_that_hears_closed_forms_stays_with_them(board, runs):
    settings = {
        "dim": 8,
        "steps": 4,
        "tasks": 8,
        "validate_every": 4,
        "judge_cases": 50,
        "judge_steps": 4,
    }
    recipes.fit("stacked-blend", Order(board, settings=settings))
    ((tasks, _),) = runs
    assert len(tasks) < len(board.train)


def test_a_judge_is_the_same_for_a_seed(past):
    tasks = Tasks(past, ordered=True, question=NEXT_CLICK)
    settings = {"judge_units": 4, "judge_cases": 60, "judge_steps": 10}
    one, same, other = (
        fit_combiner(
            alone(past), CountFeatures.fit(past, True, NOWHERE), tasks, seed=seed, **settings
        ).of_item.weight
        for seed in (3, 3, 4)
    )
    assert one.shape == (4, len(ITEM_FEATURE_NAMES))
    assert torch.equal(one, same) and not torch.equal(one, other)


def test_no_later_task_at_all_leaves_the_base(past, support):
    nothing = Tasks(past.take(np.array([], dtype=int)), ordered=True, question=NEXT_CLICK)
    made = fit_combiner(alone(past), CountFeatures.fit(past, True, NOWHERE), nothing, seed=0)
    stack = StackedScorer(alone(past), CountFeatures.fit(past, True, NOWHERE), made)
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
    one = recipes.fit("stacked-blend", Order(board, settings=settings))
    again = RECIPES["stacked-blend"].restore(one.scorer.arrays(), one.settings)
    batch = board.test.cut(2)
    np.testing.assert_array_equal(again.adapt(batch.support), one.scorer.adapt(batch.support))
