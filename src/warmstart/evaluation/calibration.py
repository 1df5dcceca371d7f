"""Expected calibration error of scorers that have a posterior, by number of shots."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64
from scipy.special import ndtr, softmax

from warmstart.arrays import top_k_per_row
from warmstart.evaluation.evaluate import MAX_SCORES
from warmstart.scorer import Posterior, Scorer, delegate
from warmstart.tasks.tasks import Objective, TaskBatch, Tasks, batches

DRAWS = 16  # from the posterior of each task
TOP = 10  # items whose probability is compared with their hits
BINS = 10


def calibration(
    scorer: Scorer,
    tasks: Tasks,
    *,
    objective: Objective,
    shots: Sequence[int],
    queries: int = 20,
    seed: int = 0,
) -> dict[int, float]:
    """The expected calibration error of a scorer with a posterior, by shots; empty for any other.

    Ranking: the predicted probability of the ten items with the highest scores, against the share
    of the next events among them. Rating: the share of ratings below each tenth of their predicted
    distribution.
    """
    rng = np.random.default_rng(seed)
    error = _ranking_error if objective == "ranking" else _rating_error
    scorers = {k: delegate(scorer, k) for k in shots}
    return {
        k: error(one, posterior, tasks.cut(k, queries=queries), rng)
        for k, one in scorers.items()
        if (posterior := one.capabilities.posterior) is not None
    }


def expected_error(
    confidence: Float64[np.ndarray, "N"], outcome: Float64[np.ndarray, "N"]
) -> float:
    """Mean distance of confidence and outcome over ten equally full bins (Nguyen & O'Connor, EMNLP
    2015).
    """
    order = np.argsort(confidence, kind="stable")
    bins = np.array_split(order, min(BINS, len(order)))
    return float(
        sum(len(rows) * abs(confidence[rows].mean() - outcome[rows].mean()) for rows in bins)
        / len(order)
    )


def quantile_error(below: Float64[np.ndarray, "N"]) -> float:
    """Mean distance from the diagonal of the share of outcomes that lie below a quantile (Kuleshov
    et al., ICML 2018).

    `below` is the predicted probability of an outcome smaller than the observed one.
    """
    levels = np.arange(1, BINS) / BINS
    return float(np.abs((below <= levels[:, None]).mean(axis=1) - levels).mean())


def _ranking_error(
    scorer: Scorer, posterior: Posterior, batch: TaskBatch, rng: np.random.Generator
) -> float:
    parts = [
        _confidence_and_hits(scorer, posterior, part, rng)
        for part in batches(batch, max(1, MAX_SCORES // scorer.items))
    ]
    return expected_error(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _confidence_and_hits(
    scorer: Scorer, posterior: Posterior, batch: TaskBatch, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """(T,) twice: the probability of the ten best items, the share of the query among them."""
    state = scorer.adapt(batch.support, batch.profile)
    everything = np.arange(scorer.items)

    def scores(state: object) -> np.ndarray:
        found = scorer.score(state, everything).astype(np.float64)
        found[batch.support.task, batch.support.item] = -np.inf
        return found

    best = top_k_per_row(scores(state), TOP)
    probability = np.mean(
        [softmax(scores(posterior.sample(state, rng)), axis=1) for _ in range(DRAWS)], axis=0
    )
    chosen = np.zeros(probability.shape, dtype=bool)
    np.put_along_axis(chosen, best, True, axis=1)
    hits = np.bincount(
        batch.query.task,
        weights=chosen[batch.query.task, batch.query.item],
        minlength=len(batch.query),
    )
    return probability[chosen].reshape(len(probability), -1).sum(axis=1), hits / batch.query.counts


def _rating_error(
    scorer: Scorer, posterior: Posterior, batch: TaskBatch, rng: np.random.Generator
) -> float:
    state, query = scorer.adapt(batch.support, batch.profile), batch.query.padded()
    drawn = [scorer.score(posterior.sample(state, rng), query.item) for _ in range(DRAWS)]
    below = np.mean([ndtr((query.value - scores) / posterior.noise) for scores in drawn], axis=0)
    return quantile_error(below[query.mask].astype(np.float64))
