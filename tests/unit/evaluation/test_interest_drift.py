"""Interest drift: the three tests on scorers whose correct figures are known."""

from dataclasses import replace

import numpy as np
import pytest

from warmstart.errors import DataError
from warmstart.evaluation.interest_drift import CLICKS, FROZEN_AFTER, interest_drift
from warmstart.scorer import Capabilities
from warmstart.tasks.examples import Examples
from warmstart.tasks.tasks import QuerySpec, Tasks

ITEMS, LONG = 200, CLICKS + 3
CHAIN = QuerySpec(horizon=1, allow_repeats=True)


def chains(sessions: int, *, kinds: int = 2) -> Tasks:
    """Session s counts upwards, in the hundred of its kind; no session has items of both kinds."""
    hundreds = np.arange(sessions) % kinds * 100
    item = (hundreds[:, None] + (np.arange(sessions) // kinds * 7)[:, None] + np.arange(LONG)) % (
        100 * kinds
    )
    start = np.arange(sessions + 1) * LONG
    return Tasks(
        Examples(item.ravel(), np.ones(item.size, dtype=np.float32), start),
        ordered=True,
        query_spec=CHAIN,
    )


class Counting:
    """Predicts the item `memory` after the one that is as many events back, and its neighbours."""

    items = ITEMS
    capabilities = Capabilities()

    def __init__(self, memory: int = 1) -> None:
        self.memory = memory

    def adapt(self, support: Examples, profile=None) -> np.ndarray:
        last = support.offsets[1:] - 1
        return support.item[np.maximum(last - self.memory + 1, support.offsets[:-1])] + self.memory

    def score(self, state, items):
        return -np.abs(items[None, :] - state[:, None]).astype(np.float32)

    def arrays(self):
        return {}


def test_a_scorer_that_reads_the_last_click_alone_recovers_at_once():
    found = interest_drift(Counting(), chains(8), chains(20))
    assert found.intact.tolist() == [1.0] * CLICKS == found.concatenated.tolist()
    assert found.recovery == 1 and found.sessions == 8


def test_a_scorer_that_reads_further_back_takes_as_many_clicks_to_recover():
    found = interest_drift(Counting(memory=4), chains(8), chains(20))
    assert found.concatenated[:3].tolist() == [0.0] * 3 and found.recovery == 4


def test_a_frozen_state_predicts_what_follows_the_first_clicks():
    class Narrow(Counting):
        def score(self, state, items):
            return (items[None, :] == state[:, None]).astype(np.float32) - (items % 100 > 60)

    found = interest_drift(Narrow(), chains(8), chains(20))
    assert found.frozen[:FROZEN_AFTER].tolist() == [1.0] * FROZEN_AFTER
    assert (found.frozen[FROZEN_AFTER:] < 1.0).all() and found.intact.tolist() == [1.0] * CLICKS


def test_a_session_is_concatenated_with_one_of_another_kind():
    seen: list[Examples] = []

    class Recording(Counting):
        def adapt(self, support, profile=None):
            seen.append(support)
            return super().adapt(support)

    interest_drift(Recording(), chains(10), chains(40))
    concatenated = [support for support in seen if (support.counts > CLICKS).all()]
    assert len(concatenated) == CLICKS
    for clicks, support in enumerate(concatenated, start=1):
        rows = support.item.reshape(10, CLICKS + clicks)
        assert ((rows[:, 0] // 100) != (rows[:, -1] // 100)).all()


def test_short_sessions_alone_are_refused():
    tasks = chains(8)
    short = replace(tasks, events=tasks.events.window(np.zeros(8, dtype=int), np.full(8, CLICKS)))
    with pytest.raises(
        DataError, match="sessions of more than 8 clicks, of which there are fewer than two"
    ):
        interest_drift(Counting(), short, tasks)
