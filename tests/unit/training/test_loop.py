"""Training: a killed run goes on to the same weights, the same seed gives the same bits, and
nothing leaks.
"""

from dataclasses import replace
from itertools import count

import numpy as np
import pytest
import torch

from warmstart.data.synthetic import synthetic_shop
from warmstart.durations import Deadline
from warmstart.errors import UsageError
from warmstart.learners.objectives import MASKED_LOGIT
from warmstart.tasks.examples import Examples
from warmstart.tasks.scenarios import ScenarioOptions, cross_domain, session, user_cold_start
from warmstart.tasks.split import Split
from warmstart.tasks.tasks import TaskBatch, Tasks
from warmstart.training import registry as recipes
from warmstart.training.loop import train
from warmstart.training.outer_loop import ValidationCurve
from warmstart.training.registry import RECIPES
from warmstart.training.requests import FitRequest, Fitted
from warmstart.training.schedule import Schedule

SMALL = {"dim": 8, "objective": "ranking"}
SCHEDULE = Schedule(steps=12, tasks=8, rate=0.01, validate_every=4)


def model(split, name="in-context"):
    torch.manual_seed(3)
    settings = {**RECIPES[name].overrides, **SMALL}
    return RECIPES[name].build_model(RECIPES[name].statistics(split, settings), settings)


def constant(scorer):
    return {0: 0.5}


def rising():
    """A validation that finds every look better than the one before."""
    values = iter(range(100))
    return lambda scorer: {0: float(next(values))}


class Killed(Exception):
    pass


@pytest.mark.parametrize("name", ["in-context", "maml", "siamese"])
def test_a_killed_run_goes_on_to_the_same_bits(name, split, tmp_path):
    whole, broken, resumed = (model(split, name) for _ in range(3))
    train(whole, split.train, rising(), schedule=SCHEDULE, seed=1)

    def kill(step: int, steps: int, curve: ValidationCurve) -> None:
        if step == 10:
            raise Killed

    path = tmp_path / "checkpoint"
    with pytest.raises(Killed):
        train(
            broken, split.train, rising(), schedule=SCHEDULE, seed=1, checkpoint=path, progress=kill
        )
    values = iter([9.0])
    curve = train(
        resumed,
        split.train,
        lambda s: {0: next(values)},
        schedule=SCHEDULE,
        seed=1,
        checkpoint=path,
    )
    assert curve.steps == [0, 4, 8, 12]
    for name_, weights in whole.state_dict().items():
        assert torch.equal(weights, resumed.state_dict()[name_]), name_


def test_the_same_seed_gives_the_same_bits_and_another_seed_does_not(split):
    first, again, other = (model(split) for _ in range(3))
    for one, seed in ((first, 1), (again, 1), (other, 2)):
        train(one, split.train, rising(), schedule=SCHEDULE, seed=seed)
    assert torch.equal(first.encoder.ids, again.encoder.ids)
    assert not torch.equal(first.encoder.ids, other.encoder.ids)


def test_two_threads_give_the_same_bits_every_time():
    """Enough tasks that threads add to the same item's gradient, in any order."""
    shop_split = user_cold_start(synthetic_shop(users=400))
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        runs = [model(shop_split) for _ in range(2)]
        for one in runs:
            train(one, shop_split.train, constant, schedule=replace(SCHEDULE, tasks=128), seed=1)
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(runs[0].encoder.ids, runs[1].encoder.ids)


def test_the_random_state_of_the_process_is_left_alone(split):
    one = model(split)
    before = torch.random.get_rng_state()
    train(one, split.train, constant, schedule=SCHEDULE, seed=1)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_the_weights_of_the_best_validation_are_kept(split):
    values = iter([0.0, 0.1, 0.9, 0.2])
    seen = []

    def validate(scorer):
        seen.append(scorer.model.encoder.ids.detach().clone())
        return {0: next(values)}

    one = model(split)
    curve = train(one, split.train, validate, schedule=SCHEDULE, seed=1)
    assert curve.best_step == 8
    assert torch.equal(one.encoder.ids, seen[2]) and not one.training


def test_training_stops_when_validation_gets_no_better(split):
    schedule = replace(SCHEDULE, steps=400, validate_every=2, patience=3)
    curve = train(model(split), split.train, constant, schedule=schedule, seed=1)
    assert curve.steps == [0, 2, 4, 6]


def test_a_time_budget_ends_training(split):
    schedule = replace(SCHEDULE, steps=10**6, validate_every=10**6)
    curve = train(
        model(split), split.train, constant, schedule=schedule, seed=1, deadline=Deadline(0.5)
    )
    assert len(curve.steps) == 2 and curve.steps[1] < 10**5


def test_the_checkpoint_of_another_run_is_refused(split, tmp_path):
    path = tmp_path / "checkpoint"
    train(model(split), split.train, constant, schedule=SCHEDULE, seed=1, checkpoint=path)
    with pytest.raises(
        UsageError, match="is the checkpoint of a run with another learner, data, settings or seed"
    ):
        train(model(split), split.train, constant, schedule=SCHEDULE, seed=2, checkpoint=path)
    with pytest.raises(UsageError, match="is the checkpoint of a run with another learner"):
        train(
            model(split, "ridge"), split.train, constant, schedule=SCHEDULE, seed=1, checkpoint=path
        )
    with pytest.raises(UsageError, match="is the checkpoint of a run with another learner"):
        train(
            model(split),
            scrambled(split.train),
            constant,
            schedule=SCHEDULE,
            seed=1,
            checkpoint=path,
        )


def scrambled(tasks: Tasks) -> Tasks:
    rng = np.random.default_rng(9)
    events = tasks.events
    return replace(
        tasks,
        events=Examples(
            rng.permutation(events.item), rng.permutation(events.value), events.offsets
        ),
    )


@pytest.mark.parametrize(
    ("name", "objective"), [(n, o) for n, r in RECIPES.items() for o in r.objectives]
)
def test_scrambling_every_test_and_validation_label_leaves_the_weights_as_they_are(
    name, objective, split, monkeypatch
):
    """No label of these parts may show in the weights, though each validation is made to be better
    than the one before.
    """
    chosen = RECIPES[name]
    if "steps" in chosen.options:
        settings = {"dim": 8, "steps": 6, "tasks": 8, "validate_every": 6}
    else:
        settings = dict(chosen.cls.GRID[0]) if chosen.cls.GRID else {}
    settings |= {"judge_cases": 50, "judge_steps": 4} if "judge_steps" in chosen.options else {}

    def fitted(part: Split) -> Fitted:
        values = count()
        for recipe in ("meta_recipe", "baseline_recipe"):
            monkeypatch.setattr(
                f"warmstart.training.{recipe}.quality", lambda *_: {0: float(next(values))}
            )
        return recipes.fit(name, FitRequest(part, objective, settings=settings))

    clean, dirty = (
        fitted(split),
        fitted(replace(split, valid=scrambled(split.valid), test=scrambled(split.test))),
    )
    for part, array in clean.scorer.arrays().items():
        np.testing.assert_array_equal(array, dirty.scorer.arrays()[part], err_msg=part)


def test_training_that_only_makes_worse_leaves_the_start(split):
    values = iter([0.9, 0.1, 0.2, 0.3])
    one = model(split)
    before = {name: tensor.clone() for name, tensor in one.state_dict().items()}
    curve = train(one, split.train, lambda scorer: {0: next(values)}, schedule=SCHEDULE, seed=1)
    assert curve.best_step == 0 and curve.summary == "validation was best at step 0 of 12"
    assert all(torch.equal(tensor, before[name]) for name, tensor in one.state_dict().items())


def competing_items(
    name: str, clicks, monkeypatch, *, whole: bool
) -> tuple[np.ndarray, TaskBatch, np.ndarray]:
    """Which items compete in a training batch of sessions, the batch, and the mask of the items to
    be predicted.
    """
    split = session(clicks(items=40, events=900), options=ScenarioOptions(gap=1500.0))
    one, rng = model(split, name), np.random.default_rng(0)
    seen = {}
    own = one.learner.loss

    def spied(support, query, candidates, negatives):
        seen.update(log_weight=negatives.log_weight, mask=query.mask)
        return own(support, query, candidates, negatives)

    monkeypatch.setattr(one.learner, "loss", spied)
    batch = split.train.episodes(rng, 16, max_shots=5, queries=20, whole_sequences=whole)
    one(batch, rng)
    return seen["log_weight"].numpy() > MASKED_LOGIT / 2, batch, seen["mask"].numpy()


def test_in_a_session_all_but_the_next_click_compete_with_it(clicks, monkeypatch):
    compete, batch, _ = competing_items("in-context", clicks, monkeypatch, whole=False)
    for t in range(len(batch.support)):
        (next_item,) = batch.query.item[batch.query.task == t]
        assert set(np.flatnonzero(~compete[t])) == {next_item}


def test_where_all_clicks_are_asked_for_the_whole_session_competes(clicks, monkeypatch):
    compete, batch, mask = competing_items("core", clicks, monkeypatch, whole=True)
    assert compete.all() and not len(batch.support.item)
    assert batch.task_events is not None
    np.testing.assert_array_equal(mask.sum(axis=1), np.minimum(batch.task_events.counts, 20))


def test_whole_sessions_are_drawn_alike_and_clicks_alike(clicks):
    train = session(clicks(items=40, events=900), options=ScenarioOptions(gap=1500.0)).train
    long = train.events.counts > np.median(train.events.counts)
    shares = {}
    for whole in (True, False):
        batch = train.episodes(
            np.random.default_rng(0), 20000, max_shots=5, queries=20, whole_sequences=whole
        )
        shares[whole] = (batch.task_events.counts > np.median(train.events.counts)).mean()
    assert shares[True] == pytest.approx(long.mean(), abs=0.02)
    assert shares[False] == pytest.approx(
        train.events.counts[long].sum() / train.events.counts.sum(), abs=0.02
    )


def test_across_domains_half_of_the_episodes_at_least_are_of_people_known_in_both(clicks):
    split = cross_domain(
        clicks(users=100, items=40, events=250), options=ScenarioOptions(target="films")
    )
    served = split.train.servable
    batch = split.train.episodes(np.random.default_rng(0), 4000, max_shots=5, queries=20)
    elsewhere = split.train.query_spec.non_candidates(split.n_items)
    known = (
        np.bincount(
            batch.task_events.task, weights=elsewhere[batch.task_events.item], minlength=4000
        )
        > 0
    )
    assert 0 < served.mean() < 0.7 and (known & (batch.query.counts > 0)).mean() > 0.5
    assert not known.all()  # the others teach, too
