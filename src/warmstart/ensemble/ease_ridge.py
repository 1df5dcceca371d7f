"""The ridge of EASE, chosen by the leave-one-out hit rate on training tasks."""

import logging

import numpy as np
from jaxtyping import Int64

from warmstart.cooccurrence.gram import GramInverse, gram_inverse, most_frequent
from warmstart.cooccurrence.transitions import restrict_to_items
from warmstart.ensemble.closed_form import EaseExpert
from warmstart.ensemble.hit_rate import is_hit
from warmstart.ensemble.support_sets import SupportSets
from warmstart.tasks.tasks import DEFAULT_HORIZON, TaskBatch, Tasks

logger = logging.getLogger(__name__)

RIDGES = (30.0, 100.0, 300.0, 1000.0, 3000.0, 10000.0)
RIDGE_SEARCH_ITEMS = 2000  # most popular items on which a ridge is chosen
RIDGE_SEARCH_TASKS = 1000  # training tasks on which a ridge is chosen


def choose_ridge(train: Tasks, items: int) -> float:
    """The ridge of EASE with the best leave-one-out hit rate on the most popular items."""
    kept = most_frequent(np.bincount(train.all_events.item, minlength=items), RIDGE_SEARCH_ITEMS)
    rng = np.random.default_rng(0)
    batch = train.episodes(rng, RIDGE_SEARCH_TASKS, max_shots=20, queries=DEFAULT_HORIZON)
    interactions = train.all_events.matrix(items)[:, kept]
    shares = [_hit_share(gram_inverse(interactions, ridge), batch, kept, items) for ridge in RIDGES]
    best = max(shares)
    ridge = RIDGES[shares.index(best)]
    logger.info("ridge of the EASE expert: %g, leave-one-out hit rate %.4f", ridge, best)
    return ridge


def _hit_share(
    inverse: GramInverse, batch: TaskBatch, kept: Int64[np.ndarray, "J"], items: int
) -> float:
    """The share of all query events that leave-one-out EASE has among its first ten."""
    assert batch.task_events is not None, "training tasks come with all their events"
    support, own, query = (
        restrict_to_items(part, kept, items)
        for part in (batch.support, batch.task_events, batch.query)
    )
    scores = EaseExpert(inverse).scores(SupportSets(support, len(kept), task_events=own))
    scores[support.task, support.item] = -np.inf
    return float(is_hit(scores, query.task, query.item).mean()) if len(query.item) else 0.0
