"""Session-kNN against its sums written out, and with sessions that came later."""

import numpy as np
import pytest

from warmstart.baselines import SessionKNN
from warmstart.tasks.examples import Examples
from warmstart.tasks.tasks import Tasks

ITEMS, DECAY = 15, 0.7


def sessions(count: int, seed: int) -> list[list[int]]:
    rng = np.random.default_rng(seed)
    return [rng.integers(0, ITEMS, rng.integers(1, 7)).tolist() for _ in range(count)]


def expected(past: list[list[int]], support: list[int], neighbours: int, sample: int) -> np.ndarray:
    """The scores of all items, without the tie-break."""
    counts = np.bincount([item for session in past for item in session], minlength=ITEMS)
    latest = {
        item: [n for n, session in enumerate(past) if item in session][-sample:]
        for item in range(ITEMS)
    }
    shared: dict[int, list[float]] = {}
    for later, item in enumerate(reversed(support)):
        for n in latest[item]:
            shared.setdefault(n, []).append(DECAY**later)
    nearest = sorted(shared, key=lambda n: (-round(sum(shared[n]), 5), -n))[:neighbours]
    scores = np.zeros(ITEMS)
    for n in nearest:
        for item in set(past[n]):
            scores[item] += (
                sum(shared[n]) * max(shared[n]) * np.log1p(len(past) / (1 + counts[item]))
            )
    return scores


@pytest.mark.parametrize(("neighbours", "sample"), [(100, 100), (4, 100), (100, 3), (3, 5)])
def test_the_scores_are_the_sums_written_out(examples, neighbours, sample):
    past, supports = sessions(40, 0), [*sessions(12, 1), []]
    one = SessionKNN.fit(
        Tasks(examples(past), ordered=True),
        items=ITEMS,
        neighbours=neighbours,
        sample=sample,
        decay=DECAY,
    )
    found = one.score(one.adapt(examples(supports)), np.arange(ITEMS))
    for row, support in zip(found, supports, strict=True):
        np.testing.assert_allclose(
            row, expected(past, support, neighbours, sample), rtol=1e-4, atol=1e-5
        )


def test_blocks_of_tasks_are_as_all_at_once(examples):
    one = SessionKNN.fit(Tasks(examples(sessions(40, 0)), ordered=True), items=ITEMS)
    support = examples([*sessions(9, 1), [], []])
    whole = one.score(one.adapt(support), np.arange(ITEMS))
    blocks = one.session_weights(support, max_pairs=5)
    np.testing.assert_array_equal(one.score(blocks, np.arange(ITEMS)), whole)


def test_without_an_order_all_events_have_the_same_weight(examples):
    one = SessionKNN.fit(Tasks(examples(sessions(40, 0)), ordered=False), items=ITEMS, decay=0.5)
    backwards = [row[::-1] for row in sessions(9, 1)]
    scores = [
        one.score(one.adapt(examples(rows)), np.arange(ITEMS))
        for rows in (sessions(9, 1), backwards)
    ]
    np.testing.assert_allclose(*scores, rtol=1e-5)


def test_later_sessions_count_as_if_they_had_been_there(examples):
    early, late, support = sessions(30, 0), sessions(10, 5), examples(sessions(9, 1))
    one = SessionKNN.fit(Tasks(examples(early), ordered=True), items=ITEMS, neighbours=5, sample=4)
    whole = SessionKNN.fit(
        Tasks(examples([*early, *late]), ordered=True), items=ITEMS, neighbours=5, sample=4
    )
    extended = one.with_sessions(examples(late))
    found, from_all = (
        scorer.score(scorer.adapt(support), np.arange(ITEMS)) for scorer in (extended, whole)
    )
    np.testing.assert_allclose(
        found, from_all, atol=1e-5
    )  # popularity, which breaks ties, stays as it was
    assert isinstance(one.past, Examples) and len(one.past) == 30
