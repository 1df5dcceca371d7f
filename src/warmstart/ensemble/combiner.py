"""Judge: a small network that weighs what a base and the witnesses of a memory say, and how it
learns to.

Stacked generalisation (Wolpert, Neural Networks 1992): it learns from tasks that are later than all
that its parts have seen, so that each part is heard as it deserves where it is used.
"""

import math

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from warmstart.ensemble.base_scorers import BaseScorers
from warmstart.ensemble.count_features import FEATURE_NAMES, ITEM_FEATURE_NAMES, CountFeatures
from warmstart.learners.objectives import MASKED_LOGIT
from warmstart.tasks.tasks import TaskBatch, Tasks, batches

CELLS = 8_000_000  # scores of the base that are held at once
LIKELY, NAMED, DRAWN = 200, 100, 100
"""Candidates of a prefix to learn from: the likeliest by the base, those of which most is said, and
some of all others, which stand for all others.
"""
FOLDS, LOOKS = (
    5,
    20,
)  # every so many tasks are left out of learning; so often it is looked at how these are foreseen
MAX_SHOTS = 4  # shots from which on a support set counts as one of many


class Combiner(nn.Module):
    """This scores pairs of a task and an item by what the base, the witnesses and the item's own
    counts say.

    Before it has learned it says what the base says. One hidden layer of `units`, whose input is a
    sum: what concerns the item alone is summed once for all tasks.
    """

    def __init__(self, units: int) -> None:
        super().__init__()
        self.of_base = nn.Parameter(torch.randn(units) / 4)
        self.of_said = nn.Parameter(torch.randn(len(FEATURE_NAMES), units) / 4)
        self.of_item = nn.Linear(len(ITEM_FEATURE_NAMES), units)
        self.of_shots = nn.Parameter(torch.zeros(MAX_SHOTS + 1, units))
        self.out = nn.Parameter(torch.zeros(units))

    def forward(
        self,
        base: Float[Tensor, "*n"],
        said: Float[Tensor, "*n W"],
        context: Float[Tensor, "*n H"],
    ) -> Float[Tensor, "*n"]:
        """Scores by the base's, what is said, and what the hidden layer hears of the item and the
        number of shots.
        """
        return (
            base
            + (base.unsqueeze(-1) * self.of_base + said @ self.of_said + context).relu() @ self.out
        )

    def score_without_features(
        self, base: Float[Tensor, "T I"], item: Float[Tensor, "H I"], shots: Float[Tensor, "T H"]
    ) -> Float[Tensor, "T I"]:
        """Scores of the whole catalogue as if no witness said anything; one unit at a time, so that
        memory is small.

        As max(x + s, 0) is max(x, -s) + s, what the shots say is added once, and not to every item.
        """
        found, heard = base + shots @ self.out.unsqueeze(1), torch.empty_like(base)
        least = -shots[0] if len(shots) == 1 else -shots.T.unsqueeze(2)  # (H,), or (H, T, 1)
        for unit, (of_base, out) in enumerate(
            zip(self.of_base.tolist(), self.out.tolist(), strict=True)
        ):
            torch.add(item[unit], base, alpha=of_base, out=heard)
            found.add_(heard.clamp_(min=least[unit]), alpha=out)
        return found


class TrainingCandidates:
    """Prefixes of tasks with candidates for what comes next; the first of them came."""

    def __init__(
        self, bases: BaseScorers, memory: CountFeatures, batch: TaskBatch, rng: np.random.Generator
    ) -> None:
        parts = [
            _candidates(bases, memory, part, rng)
            for part in batches(batch, max(1, CELLS // bases.items))
        ]
        self.base, self.features, self.item, self.log_weight, self.shots = (
            torch.from_numpy(np.concatenate(columns)) for columns in zip(*parts, strict=True)
        )
        self.of_items = torch.from_numpy(memory.item_features)

    def __len__(self) -> int:
        return len(self.shots)

    def loss(self, judge: Combiner, these: Int64[Tensor, "B"]) -> Float[Tensor, ""]:
        """The cross entropy of what came among all items, which the candidates stand for."""
        context = judge.of_item(self.of_items[self.item[these]]) + judge.of_shots[
            self.shots[these]
        ].unsqueeze(1)
        scores = judge(self.base[these], self.features[these], context) + self.log_weight[these]
        return cross_entropy(scores, torch.zeros(len(these), dtype=torch.int64))


def fit_combiner(
    bases: BaseScorers,
    memory: CountFeatures,
    later: Tasks,
    *,
    seed: int,
    judge_units: int = 32,
    judge_cases: int = 30000,
    judge_steps: int = 2400,
) -> Combiner:
    """A judge of what is said before the next events of tasks that are later than what the bases
    and the memory know.

    Every fifth of these tasks says when the judge is best. Where there are none, or nothing is
    better than the bases alone, it stays as it begins.
    """
    rng, held_out = np.random.default_rng(seed), np.arange(len(later)) % FOLDS == 0
    parts = [later.take(np.flatnonzero(which)) for which in (~held_out, held_out)]
    torch_seed = int(rng.integers(2**63))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(torch_seed)
        judge = Combiner(judge_units)
        if any(not len(part.events.item) for part in parts):
            return judge
        sizes = (judge_cases, max(1, judge_cases // FOLDS))
        cases, others = (
            TrainingCandidates(
                bases, memory, part.episodes(rng, size, most_shots=30, queries=1), rng
            )
            for part, size in zip(parts, sizes, strict=True)
        )
        return _taught(judge, cases, others, judge_steps)


def _taught(
    judge: Combiner, cases: TrainingCandidates, others: TrainingCandidates, steps: int
) -> Combiner:
    """The judge with the weights by which the others are foreseen best, along its way down."""
    optimizer = torch.optim.AdamW(judge.parameters(), lr=0.01, weight_decay=1e-3)
    falls = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, steps)
    best, kept = math.inf, judge.state_dict()
    for step in range(steps + 1):
        if step % max(1, steps // LOOKS) == 0:
            with torch.no_grad():
                loss = float(others.loss(judge, torch.arange(len(others))))
            if loss < best:
                best, kept = (
                    loss,
                    {name: tensor.clone() for name, tensor in judge.state_dict().items()},
                )
        optimizer.zero_grad()
        cases.loss(judge, torch.randint(len(cases), (256,))).backward()
        optimizer.step()
        falls.step()
    judge.load_state_dict(kept)
    return judge


def _candidates(
    bases: BaseScorers, memory: CountFeatures, batch: TaskBatch, rng: np.random.Generator
) -> tuple[np.ndarray, ...]:
    """Candidates of each prefix, in front what came: what is said of them, which they are, how many
    each stands for.

    Whatever came is among them, wherever it stands. If only what somebody names were asked for, the
    judge would believe the witnesses more often than they are right.
    """
    likely, heard = bases.scores(batch.support, batch.profile), memory.extract(batch.support)
    answer = batch.query.item
    shape, tasks = likely.shape, np.arange(len(likely))[:, None]
    allowed = np.tile(~batch.question.others(bases.items), (shape[0], 1))
    if not batch.question.again:
        allowed[batch.support.task, batch.support.item] = False
    allowed[tasks[:, 0], answer] = False  # it stands in front, and nowhere else
    loudness, row = np.zeros(shape, dtype=np.float32), np.full(shape, -1)
    loudness[heard.task, heard.item] = heard.values.sum(axis=1)
    row[heard.task, heard.item] = np.arange(len(heard.item))
    chosen, likeliest, loudest = (
        np.zeros(shape, dtype=bool),
        _largest(likely, LIKELY),
        _largest(loudness, NAMED),
    )
    chosen[tasks, likeliest] = True
    named = np.where(chosen[tasks, loudest], -1, loudest)  # nobody is a candidate twice
    chosen[tasks, loudest] = True
    drawn = rng.integers(0, bases.items, (shape[0], DRAWN))
    others = allowed & ~chosen
    items = np.hstack(
        [answer[:, None], likeliest, named, np.where(others[tasks, drawn], drawn, -1)]
    )
    log_weight = np.where((items >= 0) & allowed[tasks, items], 0.0, MASKED_LOGIT).astype(
        np.float32
    )
    log_weight[:, 0] = 0.0
    stand_for = others.sum(axis=1) / np.maximum((items[:, -DRAWN:] >= 0).sum(axis=1), 1)
    log_weight[:, -DRAWN:] += np.log(np.maximum(stand_for, 1))[:, None]
    said = np.vstack([heard.values, np.zeros((1, len(FEATURE_NAMES)), dtype=np.float32)])[
        row[tasks, items]
    ]
    return (
        likely[tasks, items],
        said,
        np.maximum(items, 0),
        log_weight,
        clip_shots(memory.shots(batch.support)),
    )


def _largest(scores: Float32[np.ndarray, "T I"], most: int) -> Int64[np.ndarray, "T C"]:
    """The items with the largest scores of each task, in no order."""
    most = min(most, scores.shape[1])
    return np.argpartition(-scores, most - 1, axis=1)[:, :most]


def clip_shots(shots: Int64[np.ndarray, "T"]) -> Int64[np.ndarray, "T"]:
    """The number of shots as a judge hears it."""
    return np.minimum(shots, MAX_SHOTS)
