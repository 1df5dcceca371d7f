"""Interest: whether a scorer follows somebody whose interest changes, by three tests on whole
sessions.

A curve by clicks on sessions that are all long enough, so that it compares like with like; two
sessions of different kinds joined, and how many clicks it takes to be as good as on the second
alone; and what is lost where the state stays what it was after the first clicks.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float64, Int64

from warmstart.errors import DataError
from warmstart.evaluation.evaluate import CELLS, tie_order
from warmstart.evaluation.metrics import ranks
from warmstart.scorer import Scorer
from warmstart.tasks.tasks import Examples, TaskBatch, Tasks, batches

CLICKS = 8
"""Clicks after which the next one is asked for, on sessions that have one more at least."""
FROZEN = 2
"""Clicks after which the state of the ablation stays as it is."""
RECOVERED = 0.95
"""The share of what is found without a change of interest, at which somebody is back."""
AT = 20
COHORT = 2000  # sessions that are looked at, at most
Curve = Float64[np.ndarray, "K"]
Sessions = Int64[np.ndarray, "_"]


@dataclass(frozen=True)
class Interest:
    """Recall@20 of the next click after 1 to `CLICKS` clicks, in the mean over sessions of one
    cohort.
    """

    cohort: Curve
    """On whole sessions."""
    frozen: Curve
    """With the state as it was after `FROZEN` clicks, from there on."""
    spliced: Curve
    """By the clicks since another session, of a different kind, went before."""
    sessions: int

    @property
    def recovery(self) -> int | None:
        """Clicks after a change of interest until as much is found as without, nearly; None if it
        takes more.
        """
        back = np.flatnonzero(self.spliced >= RECOVERED * self.cohort)
        return int(back[0]) + 1 if len(back) else None

    def to_dict(self) -> dict[str, Any]:
        """The curves, fit for JSON."""
        curves = {name: getattr(self, name).tolist() for name in ("cohort", "frozen", "spliced")}
        return {**curves, "recovery": self.recovery, "sessions": self.sessions}


def interest(scorer: Scorer, tasks: Tasks, train: Tasks, *, seed: int = 0) -> Interest:
    """The three tests, on test sessions with more than `CLICKS` clicks; `train` says which sessions
    are of a kind.
    """
    events = tasks.events.take(np.flatnonzero(tasks.events.counts > CLICKS)[:COHORT])
    if len(events) < 2:
        raise DataError(
            f"a change of interest is measured on sessions of more than {CLICKS} clicks, "
            "of which there are fewer than two"
        )
    first = _partners(events, train, scorer.items, np.random.default_rng(seed))
    before = events.take(first).window(*_span(events, 0, CLICKS))
    at = range(1, CLICKS + 1)
    known = {k: events.window(*_span(events, 0, k)) for k in at}
    joined = {k: before.followed_by(known[k]) for k in at}
    cohort = np.array([_found(scorer, known[k], events, k) for k in at])
    later = [_found(scorer, known[FROZEN], events, k) for k in at[FROZEN:]]
    return Interest(
        cohort=cohort,
        frozen=np.concatenate([cohort[:FROZEN], later]),
        spliced=np.array([_found(scorer, joined[k], events, k) for k in at]),
        sessions=len(events),
    )


def _span(events: Examples, first: int, last: int) -> tuple[Sessions, Sessions]:
    return np.full(len(events), first), np.full(len(events), last)


def _found(scorer: Scorer, support: Examples, events: Examples, clicks: int) -> float:
    """The share of sessions whose click number `clicks` + 1 is among the first `AT` items."""
    batch = TaskBatch(support, events.window(*_span(events, clicks, clicks + 1)))
    order, hits = tie_order(scorer.items), 0
    for part in batches(batch, max(1, CELLS // scorer.items)):
        scores = scorer.score(scorer.adapt(part.support), np.arange(scorer.items))
        hits += int((ranks(scores, part.query.padded().item, order) <= AT).sum())
    return hits / len(events)


def _partners(events: Examples, train: Tasks, items: int, rng: np.random.Generator) -> Sessions:
    """For each session another one of a different kind: no training session shares an item with
    both of them.
    """
    met = sp.csr_array(train.met.matrix(items) @ events.matrix(items).T)  # (U, T)
    met.data[:] = 1.0
    alike = sp.csr_array(met.T @ met).toarray() > 0
    return np.argmax(
        rng.random(alike.shape) - alike - 2 * np.eye(len(alike)), axis=1
    )  # of a kind if nobody else is
