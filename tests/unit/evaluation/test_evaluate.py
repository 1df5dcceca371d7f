"""Evaluation: tasks, candidates, and comparisons with all required baselines."""

from collections.abc import Callable

import numpy as np
import pytest

from warmstart.errors import DataError, UsageError
from warmstart.evaluation.evaluate import evaluate
from warmstart.evaluation.resources import PeakMemory
from warmstart.experiments.compare import ProgressCallbacks
from warmstart.experiments.compare import evaluate as evaluate_learners
from warmstart.scorer import Capabilities
from warmstart.tasks.examples import Examples
from warmstart.tasks.tasks import Tasks

SHORT = {"steps": 40, "validate_every": 40, "dim": 16, "inner_rate": 1.0, "inner_steps": 3}
"""Transfer learning, which every report has, in a second."""


class Oracle:
    """Knows the future of each task, which the first item of its support identifies."""

    capabilities = Capabilities()

    def __init__(self, items: int, future: dict[int, list[int]]) -> None:
        self.items, self.future = items, future

    def adapt(self, support: Examples, profile=None) -> list[int]:
        return support.item[support.offsets[:-1]].tolist()

    def score(self, state, items):
        scores = np.zeros((len(state), self.items), dtype=np.float32)
        for task, first in enumerate(state):
            scores[task, self.future[first]] = 1.0
            scores[task, first] = 9.0  # the support would rank first if it were a candidate
        return scores[:, items]

    def arrays(self):
        return {}


def test_an_oracle_has_perfect_metrics_and_the_support_is_no_candidate(examples):
    rows = [[0, 5, 6, 7], [1, 8, 9], [2, 4, 3, 10]]
    oracle = Oracle(12, {row[0]: row[1:] for row in rows})
    outcome = evaluate(oracle, Tasks(examples(rows), ordered=True), shots=[1])
    assert outcome.values["ndcg@10"][1].tolist() == [1.0, 1.0, 1.0]
    assert outcome.values["mrr"][1].tolist() == [1.0, 1.0, 1.0]


def test_only_tasks_with_a_query_are_evaluated(examples):
    rows = [[0, 5, 6, 7], [1, 8, 9], [2, 4, 3, 10]]
    oracle = Oracle(12, {row[0]: row[1:] for row in rows})
    outcome = evaluate(oracle, Tasks(examples(rows), ordered=True), shots=[1, 3, 9])
    assert {k: len(values) for k, values in outcome.values["mrr"].items()} == {1: 3, 3: 2}


def test_a_scorer_that_gives_no_numbers_is_our_mistake(examples):
    oracle = Oracle(12, {0: [1]})
    oracle.score = lambda state, items: np.full((len(state), len(items)), np.nan, dtype=np.float32)
    with pytest.raises(AssertionError, match="gave scores that are not numbers"):
        evaluate(oracle, Tasks(examples([[0, 1, 2]]), ordered=True), shots=[1])


def test_a_comparison_adds_the_baselines_and_calls_its_callbacks(log):
    events: list[str] = []
    callbacks = ProgressCallbacks(
        on_start=events.append, on_result=lambda row: events.append(f"{row.learner} done")
    )
    report = evaluate_learners(
        log, ["bias", "fine-tune"], shots=[0, 3], settings=SHORT, callbacks=callbacks
    )
    names = [row.learner for row in report.rows]
    assert set(names) == {"popularity", "item-knn", "ease", "als", "fine-tune", "bias"}
    assert events == [line for name in names for line in (name, f"{name} done")]
    assert all(row.peak_mb > 50 for row in report.rows)


def test_the_same_seed_gives_the_same_report(log):
    first, again = (
        evaluate_learners(log, ["fine-tune"], shots=[0, 3], seed=4, settings=SHORT).to_dict()
        for _ in range(2)
    )
    for one, other in zip(first["results"], again["results"], strict=True):
        assert one["metrics"] == other["metrics"] and one["settings"] == other["settings"]


def test_unknown_names_are_refused_before_anything_is_fitted(log):
    started: list[str] = []
    callbacks = ProgressCallbacks(on_start=started.append)
    with pytest.raises(UsageError, match='no learner "nope"'):
        evaluate_learners(log, ["nope"], callbacks=callbacks)
    with pytest.raises(UsageError, match='no learner of this comparison has a setting "dum"'):
        evaluate_learners(log, ["ridge"], settings={"dum": 1}, callbacks=callbacks)
    with pytest.raises(UsageError, match='there is no scenario "moon"; there are user'):
        evaluate_learners(log, [], scenario="moon", callbacks=callbacks)
    assert started == []


def test_shots_that_nobody_has_are_left_out_or_refused(log):
    assert evaluate_learners(log, ["fine-tune"], shots=[0, 1, 500], settings=SHORT).shots == (0, 1)
    with pytest.raises(DataError, match="nothing can be predicted after 500 shots"):
        evaluate_learners(log, [], shots=[500])


def test_peak_memory_sees_what_is_held_for_a_moment():
    make: Callable[[], np.ndarray] = lambda: np.ones(40_000_000)  # noqa: E731
    with PeakMemory() as before:
        pass
    with PeakMemory() as more:
        held = make()
        del held
    assert more.mb > before.mb + 150
