"""What several learners reached on the same tasks by number of shots, and the statistics of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64

from warmstart.errors import UsageError
from warmstart.evaluation.bootstrap import (
    Difference,
    Interval,
    difference,
    holm,
    interval,
    resampled_means,
)
from warmstart.evaluation.evaluate import HEADLINE
from warmstart.evaluation.interest_drift import InterestDrift
from warmstart.experiments.required_baselines import required_baselines
from warmstart.tasks.scenarios import scenario_of
from warmstart.tasks.tasks import Objective
from warmstart.training.requests import Role

KINDS: tuple[Role, ...] = ("baseline", "transfer", "meta")
"""The order of the groups in a table."""
TRIVIAL_BASELINE = {"ranking": "popularity", "rating": "bias"}
"""By objective: the baseline without a model; a learner should be better from two events on."""
KNOWN_REASONS = {"bias": "it predicts how well items are rated, not which items are chosen next"}
"""By learner: why it may be below the trivial baseline, where the reason is known beforehand."""
"""By scenario: what its tasks are, in the plural."""
SMALLER_IS_BETTER = ("mae", "rmse")
SIGNIFICANCE_LEVEL = 0.05


def metric_sign(metric: str) -> int:
    """1 for a metric of which more is better, -1 for an error."""
    return -1 if metric in SMALLER_IS_BETTER else 1


@dataclass(frozen=True)
class Row:
    """The results of one learner, task by task, and its cost."""

    learner: str
    kind: Role
    values: Mapping[str, Mapping[int, Float64[np.ndarray, "_"]]]
    """Metric -> shots -> one value for each task; the same tasks in the same order in every row."""
    coverage: Mapping[int, float]
    """Share of all items that are recommended to at least one task, by shots."""
    calibration: Mapping[int, float]
    """Expected calibration error by shots; empty for a learner that estimates no uncertainty."""
    valid: float
    """Mean score on the validation tasks; a learner may be chosen by it, never by test values."""
    fit_seconds: float
    tune_seconds: float
    tasks_per_second: float
    """Training tasks processed in a second of fitting."""
    adapt_ms: float
    """Milliseconds to adapt to one task by itself."""
    batch_adapt_ms: float
    """Milliseconds a task to adapt to many tasks in one batch."""
    peak_mb: float
    settings: Mapping[str, Any]
    training: str
    """How the training ended; empty for a closed form."""
    interest: InterestDrift | None = None
    """Recall while the interest of a session changes; None if it was not measured."""


class Comparison(NamedTuple):
    """Paired difference of a learner to the best baseline at `shots`; `p` is Holm-adjusted."""

    learner: str
    shots: int
    baseline: str
    difference: Difference

    @property
    def significant(self) -> bool:
        return self.difference.p < SIGNIFICANCE_LEVEL


@dataclass(frozen=True)
class Results:
    """The rows of a comparison with their statistics; refused without the required baselines."""

    dataset: Mapping[str, Any]
    scenario: str
    objective: Objective
    shots: tuple[int, ...]
    rows: tuple[Row, ...]
    seed: int

    def __post_init__(self) -> None:
        learners = {row.learner for row in self.rows}
        absent = [
            name
            for name in required_baselines(self.objective, self.scenario)
            if name not in learners
        ]
        if absent:
            raise UsageError(
                f"the report lacks the required baselines {', '.join(absent)}: a figure says "
                "nothing without tuned baselines and transfer learning beside it; evaluate them "
                "on the same tasks"
            )

    @property
    def headline(self) -> str:
        """The metric by which learners are ordered and compared."""
        return HEADLINE[self.objective]

    @property
    def metrics(self) -> list[str]:
        return list(self.rows[0].values)

    @property
    def task_noun(self) -> str:
        """What a task is, in the plural: users, items or sessions."""
        return scenario_of(self.scenario).task_noun

    @property
    def ordered_rows(self) -> list[Row]:
        """Baselines first, then transfer learning, then meta-learners; in each the best last."""
        sign = metric_sign(self.headline)
        return sorted(
            self.rows,
            key=lambda row: (
                KINDS.index(row.kind),
                sign * self.mean_over_shots(row, self.headline),
            ),
        )

    def mean_over_shots(self, row: Row, metric: str) -> float:
        return float(np.mean([row.values[metric][k].mean() for k in self.shots]))

    def best(self, metric: str, shots: int) -> Row:
        """The row with the best mean."""
        return _best(self.rows, metric, shots)

    def best_baseline(self, shots: int) -> Row:
        """The baseline with the best mean of the headline metric."""
        return _best([row for row in self.rows if row.kind == "baseline"], self.headline, shots)

    @cached_property
    def intervals(self) -> dict[tuple[str, str, int], Interval]:
        """(learner, metric, shots) -> mean and 95 % bootstrap interval over tasks."""
        found: dict[tuple[str, str, int], Interval] = {}
        for k in self.shots:
            keys = [(row.learner, metric, k) for row in self.rows for metric in self.metrics]
            values = np.stack(
                [row.values[metric][k] for row in self.rows for metric in self.metrics], axis=1
            )  # (T, C)
            means = resampled_means(
                values, seed=self.seed
            )  # one resampling for all columns keeps them paired
            found |= {key: interval(values[:, i], means[:, i]) for i, key in enumerate(keys)}
        return found

    @cached_property
    def against_best_baseline(self) -> list[Comparison]:
        """Every other learner against the best baseline at each k, paired over tasks."""
        challengers = [row for row in self.rows if row.kind != "baseline"]
        if not challengers:
            return []
        found = [one for k in self.shots for one in self._against_best_baseline(challengers, k)]
        adjusted = holm([one.difference.p for one in found])
        return [
            one._replace(difference=one.difference._replace(p=p))
            for one, p in zip(found, adjusted, strict=True)
        ]

    def _against_best_baseline(self, challengers: list[Row], shots: int) -> list[Comparison]:
        baseline, metric = self.best_baseline(shots), self.headline
        gains = np.stack(
            [row.values[metric][shots] - baseline.values[metric][shots] for row in challengers],
            axis=1,
        )
        means = resampled_means(gains, seed=self.seed)
        return [
            Comparison(row.learner, shots, baseline.learner, difference(gains[:, i], means[:, i]))
            for i, row in enumerate(challengers)
        ]

    @cached_property
    def significantly_better(self) -> set[tuple[str, int]]:
        """(learner, shots) at which a learner is significantly better than the best baseline."""
        sign = metric_sign(self.headline)
        return {
            (one.learner, one.shots)
            for one in self.against_best_baseline
            if one.significant and sign * one.difference.mean > 0
        }

    @property
    def below_trivial_baseline(self) -> dict[str, str]:
        """Learners no better than the trivial baseline at two shots or more, with the reason."""
        trivial = TRIVIAL_BASELINE[self.objective]
        found: dict[str, str] = {}
        for row in self.rows:
            shots = [k for k in self.shots if k >= 2 and self._is_below(trivial, row, k)]
            if shots and row.learner != trivial:
                reason = row.training or KNOWN_REASONS.get(row.learner, "no reason is known")
                found[row.learner] = (
                    f"no better than {trivial} at k = {', '.join(map(str, shots))}: {reason}"
                )
        return found

    def _is_below(self, baseline: str, row: Row, shots: int) -> bool:
        other = next(one for one in self.rows if one.learner == baseline)
        gain = row.values[self.headline][shots].mean() - other.values[self.headline][shots].mean()
        return bool(metric_sign(self.headline) * gain <= 0)


def _best(rows: Sequence[Row], metric: str, shots: int) -> Row:
    return max(rows, key=lambda row: metric_sign(metric) * row.values[metric][shots].mean())
