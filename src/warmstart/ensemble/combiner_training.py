"""Training of a stack's combiner on the next events of held-out, later tasks.

The tasks are later than all that the base scorers and the counts have seen (Wolpert, 1992), so that
each part gets the weight that it deserves in use.
"""

import logging
import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int64
from torch import Tensor
from torch.nn.functional import cross_entropy

from warmstart.arrays import top_k_per_row
from warmstart.durations import UNLIMITED, Deadline
from warmstart.ensemble.combiner import Combiner, clip_shots
from warmstart.ensemble.count_features import FEATURE_NAMES, CandidateFeatures, CountFeatures
from warmstart.ensemble.stacked import BaseScorers
from warmstart.learners.objectives import MASKED_LOGIT
from warmstart.tasks.tasks import TaskBatch, Tasks, batches

logger = logging.getLogger(__name__)

MAX_SCORES = 8_000_000  # base scores in memory at once: 32 MB
VALIDATION_FOLD = 5  # every fifth task is left out of training, for early stopping
VALIDATIONS = 20  # times that the loss of these tasks is looked at
BATCH = 256  # training cases a step
CASES_AT_ONCE = 256  # cases drawn between two looks at a time limit
CASES_TIME = 0.5  # share of the time limit for drawing the cases


class SampledCandidates(NamedTuple):
    """C candidates of each of T cases, the next event in front."""

    base: Float32[np.ndarray, "T C"]
    features: Float32[np.ndarray, "T C W"]
    item: Int64[np.ndarray, "T C"]
    log_weight: Float32[np.ndarray, "T C"]
    """Logarithm of the number of items that the candidate stands for; MASKED_LOGIT for padding."""
    shots: Int64[np.ndarray, "T"]


@dataclass(frozen=True)
class CandidateSampler:
    """Candidates that stand for the whole catalogue in the softmax of a training case.

    They are the next event itself, the `likely` items with the largest base score, the `featured`
    ones with the largest sum of count features, and `drawn` ones at random that stand for all
    others. Without the latter the combiner would give the features more weight than they deserve.
    """

    likely: int = 200
    featured: int = 100
    drawn: int = 100

    def sample(
        self,
        base_scorers: BaseScorers,
        count_features: CountFeatures,
        batch: TaskBatch,
        rng: np.random.Generator,
    ) -> SampledCandidates:
        """The candidates of T cases, each with one query event."""
        base = base_scorers.scores(batch.support, batch.profile)  # (T, I)
        features = count_features.extract(batch.support)
        allowed = _allowed(batch, base_scorers.items)
        top, others = self._top(base, features, allowed)
        drawn = rng.integers(0, base_scorers.items, (len(base), self.drawn))
        rows = np.arange(len(base))[:, None]
        drawn = np.where(others[rows, drawn], drawn, -1)
        item = np.hstack([batch.query.item[:, None], top, drawn])  # (T, C), -1 for padding
        return SampledCandidates(
            base[rows, item],
            _features_of(features, item, base.shape),
            np.maximum(item, 0),
            self._log_weight(item, allowed, others),
            clip_shots(count_features.shots(batch.support)),
        )

    def _top(
        self,
        base: Float32[np.ndarray, "T I"],
        features: CandidateFeatures,
        allowed: Bool[np.ndarray, "T I"],
    ) -> tuple[Int64[np.ndarray, "T K"], Bool[np.ndarray, "T I"]]:
        """The likely and featured items, -1 for one that is both, and the mask of all others."""
        sums = np.zeros(base.shape, dtype=np.float32)
        sums[features.task, features.item] = features.values.sum(axis=1)
        likely, featured = top_k_per_row(base, self.likely), top_k_per_row(sums, self.featured)
        rows, chosen = np.arange(len(base))[:, None], np.zeros(base.shape, dtype=bool)
        chosen[rows, likely] = True
        new = np.where(chosen[rows, featured], -1, featured)
        chosen[rows, featured] = True
        return np.hstack([likely, new]), allowed & ~chosen

    def _log_weight(
        self,
        item: Int64[np.ndarray, "T C"],
        allowed: Bool[np.ndarray, "T I"],
        others: Bool[np.ndarray, "T I"],
    ) -> Float32[np.ndarray, "T C"]:
        """0 for a candidate that stands for itself; drawn ones share the number of all others."""
        rows = np.arange(len(item))[:, None]
        usable = (item >= 0) & allowed[rows, item]
        log_weight = np.where(usable, 0.0, MASKED_LOGIT).astype(np.float32)
        log_weight[:, 0] = 0.0  # the next event
        n_drawn = (item[:, -self.drawn :] >= 0).sum(axis=1)  # (T,)
        share = others.sum(axis=1) / np.maximum(n_drawn, 1)  # (T,) items for each drawn one
        log_weight[:, -self.drawn :] += np.log(np.maximum(share, 1))[:, None]
        return log_weight


class TrainingCases:
    """Support sets with candidates for their next event, which is the first candidate."""

    def __init__(
        self,
        base_scorers: BaseScorers,
        count_features: CountFeatures,
        batch: TaskBatch,
        rng: np.random.Generator,
        sampler: CandidateSampler | None = None,
        deadline: Deadline = UNLIMITED,
    ) -> None:
        sampler = CandidateSampler() if sampler is None else sampler
        size = max(1, MAX_SCORES // base_scorers.items)
        if not deadline.unlimited:
            size = min(size, CASES_AT_ONCE)
        parts = []
        for part in batches(batch, size):
            parts.append(sampler.sample(base_scorers, count_features, part, rng))
            if deadline.passed:  # fewer cases, but some
                break
        self.base, self.features, self.item, self.log_weight, self.shots = (
            torch.from_numpy(np.concatenate(column)) for column in zip(*parts, strict=True)
        )
        self.item_features = torch.from_numpy(count_features.item_features)  # (I, P)

    def __len__(self) -> int:
        return len(self.shots)

    def loss(self, combiner: Combiner, cases: Int64[Tensor, "B"]) -> Float[Tensor, ""]:
        """Mean cross-entropy of the next event of B cases among the whole catalogue."""
        of_item = combiner.of_item(self.item_features[self.item[cases]])  # (B, C, H)
        context = of_item + combiner.of_shots[self.shots[cases]].unsqueeze(1)
        scores = combiner(self.base[cases], self.features[cases], context)
        logits = scores + self.log_weight[cases]
        return cross_entropy(logits, torch.zeros(len(cases), dtype=torch.int64))


def fit_combiner(
    base_scorers: BaseScorers,
    count_features: CountFeatures,
    later: Tasks,
    *,
    seed: int,
    judge_units: int = 32,
    judge_cases: int = 30000,
    judge_steps: int = 2400,
    deadline: Deadline = UNLIMITED,
) -> Combiner:
    """Train a combiner on tasks that are later than what base scorers and counts have seen.

    Every fifth task is left out for early stopping. Without later tasks, or where nothing is better
    than the base scorers alone, the combiner stays as it was initialised. After the `deadline` no
    more cases are drawn and no more steps are taken.
    """
    rng, held_out = np.random.default_rng(seed), np.arange(len(later)) % VALIDATION_FOLD == 0
    parts = [later.take(np.flatnonzero(which)) for which in (~held_out, held_out)]
    torch_seed = int(rng.integers(2**63))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(torch_seed)
        combiner = Combiner(judge_units)
        if any(not len(part.events.item) for part in parts):
            return combiner
        sizes = (judge_cases, max(1, judge_cases // VALIDATION_FOLD))
        train, validation = (
            TrainingCases(
                base_scorers,
                count_features,
                part.episodes(rng, size, max_shots=30, queries=1),
                rng,
                deadline=deadline.share(CASES_TIME * size / sum(sizes)),
            )
            for part, size in zip(parts, sizes, strict=True)
        )
        return _trained(combiner, train, validation, judge_steps, deadline)


def _trained(
    combiner: Combiner,
    train: TrainingCases,
    validation: TrainingCases,
    steps: int,
    deadline: Deadline,
) -> Combiner:
    """The combiner with the weights of the step at which the validation loss was smallest."""
    optimizer = torch.optim.AdamW(combiner.parameters(), lr=0.01, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, steps)
    best, best_step, kept = math.inf, 0, combiner.state_dict()
    for step in range(steps + 1):
        if step % max(1, steps // VALIDATIONS) == 0:
            with torch.no_grad():
                loss = float(validation.loss(combiner, torch.arange(len(validation))))
            if loss < best:
                best, best_step = loss, step
                kept = {name: tensor.clone() for name, tensor in combiner.state_dict().items()}
            if deadline.passed:
                break
        optimizer.zero_grad()
        train.loss(combiner, torch.randint(len(train), (BATCH,))).backward()
        optimizer.step()
        schedule.step()
    logger.info("combiner of step %d of %d: validation loss %.4f", best_step, steps, best)
    combiner.load_state_dict(kept)
    return combiner


def _allowed(batch: TaskBatch, items: int) -> Bool[np.ndarray, "T I"]:
    """Items that may come next, other than the one that did, which stands in front already."""
    tasks = np.arange(len(batch.support))
    allowed = np.tile(~batch.query_spec.non_candidates(items), (len(tasks), 1))
    if not batch.query_spec.allow_repeats:
        allowed[batch.support.task, batch.support.item] = False
    allowed[tasks, batch.query.item] = False
    return allowed


def _features_of(
    features: CandidateFeatures, item: Int64[np.ndarray, "T C"], shape: tuple[int, ...]
) -> Float32[np.ndarray, "T C W"]:
    """The features of (T, C) candidates; zeros where a pair has none."""
    row = np.full(shape, -1)  # (T, I), -1 is the row of zeros that is appended
    row[features.task, features.item] = np.arange(len(features.item))
    zeros = np.zeros((1, len(FEATURE_NAMES)), dtype=np.float32)
    return np.vstack([features.values, zeros])[row[np.arange(len(item))[:, None], item]]
