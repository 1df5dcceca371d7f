"""Interest drift: three tests on sessions of whether a scorer follows a changing interest.

Recall by the number of clicks on intact sessions, all of them long enough, so that every click is
measured on the same sessions; on two concatenated sessions of different kinds, by the clicks since
the second began; and with the state frozen after the first clicks.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float64, Int64

from warmstart.errors import DataError
from warmstart.evaluation.evaluate import MAX_SCORES, tie_order
from warmstart.evaluation.metrics import ranks
from warmstart.scorer import Scorer
from warmstart.tasks.examples import Examples
from warmstart.tasks.tasks import TaskBatch, Tasks, batches

CLICKS = 8
"""Clicks after which the next one is predicted, in sessions of at least one more."""
FROZEN_AFTER = 2
"""Clicks after which the frozen state no longer changes."""
RECOVERY_SHARE = 0.95
"""The share of the recall without drift at which a scorer has recovered."""
CUTOFF = 20
MAX_SESSIONS = 2000
Curve = Float64[np.ndarray, "K"]
Sessions = Int64[np.ndarray, "_"]


@dataclass(frozen=True)
class InterestDrift:
    """Recall@20 of the next click after 1 to `CLICKS` clicks, the mean over the same sessions."""

    intact: Curve
    """On whole sessions."""
    frozen: Curve
    """With the state after `FROZEN_AFTER` clicks from there on."""
    concatenated: Curve
    """By the clicks since a session of a different kind ended."""
    sessions: int

    @property
    def recovery(self) -> int | None:
        """Clicks after the drift until the recall is nearly that without; None if it takes more."""
        recovered = np.flatnonzero(self.concatenated >= RECOVERY_SHARE * self.intact)
        return int(recovered[0]) + 1 if len(recovered) else None

    def to_dict(self) -> dict[str, Any]:
        """The curves, fit for JSON."""
        return {
            "cohort": self.intact.tolist(),
            "frozen": self.frozen.tolist(),
            "spliced": self.concatenated.tolist(),
            "recovery": self.recovery,
            "sessions": self.sessions,
        }


def interest_drift(scorer: Scorer, tasks: Tasks, train: Tasks, *, seed: int = 0) -> InterestDrift:
    """The three tests, on test sessions of more than `CLICKS` clicks; from `train` is known which
    sessions are of different kinds.
    """
    events = tasks.events.take(np.flatnonzero(tasks.events.counts > CLICKS)[:MAX_SESSIONS])
    if len(events) < 2:
        raise DataError(
            f"a change of interest is measured on sessions of more than {CLICKS} clicks, "
            "of which there are fewer than two"
        )
    partners = _partners(events, train, scorer.items, np.random.default_rng(seed))
    before = events.take(partners).window(*_span(events, 0, CLICKS))
    clicks = range(1, CLICKS + 1)
    known = {k: events.window(*_span(events, 0, k)) for k in clicks}
    concatenated = {k: before.followed_by(known[k]) for k in clicks}
    intact = np.array([_recall(scorer, known[k], events, k) for k in clicks])
    later = [_recall(scorer, known[FROZEN_AFTER], events, k) for k in clicks[FROZEN_AFTER:]]
    return InterestDrift(
        intact=intact,
        frozen=np.concatenate([intact[:FROZEN_AFTER], later]),
        concatenated=np.array([_recall(scorer, concatenated[k], events, k) for k in clicks]),
        sessions=len(events),
    )


def _span(events: Examples, first: int, last: int) -> tuple[Sessions, Sessions]:
    return np.full(len(events), first), np.full(len(events), last)


def _recall(scorer: Scorer, support: Examples, events: Examples, clicks: int) -> float:
    """The share of sessions whose click number `clicks` + 1 is among the first `CUTOFF` items."""
    batch = TaskBatch(support, events.window(*_span(events, clicks, clicks + 1)))
    order, hits = tie_order(scorer.items), 0
    for part in batches(batch, max(1, MAX_SCORES // scorer.items)):
        scores = scorer.score(scorer.adapt(part.support), np.arange(scorer.items))
        hits += int((ranks(scores, part.query.padded().item, order) <= CUTOFF).sum())
    return hits / len(events)


def _partners(events: Examples, train: Tasks, items: int, rng: np.random.Generator) -> Sessions:
    """(T,): for each session another one of a different kind, if there is one: no training session
    shares an item with both.
    """
    shared = sp.csr_array(train.all_events.matrix(items) @ events.matrix(items).T)  # (U, T)
    shared.data[:] = 1.0
    similar = sp.csr_array(shared.T @ shared).toarray() > 0  # (T, T)
    # a random one of a different kind; of the same kind only if there is no other, never itself
    return np.argmax(rng.random(similar.shape) - similar - 2 * np.eye(len(similar)), axis=1)
