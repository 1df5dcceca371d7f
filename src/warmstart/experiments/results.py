"""Report: what several learners reached on the same tasks, by number of shots, beside the classics
and the cost.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float64
from rich.console import Console, RenderableType

from warmstart.errors import Misuse
from warmstart.evaluation.bootstrap import (
    Difference,
    Interval,
    difference,
    holm,
    interval,
    resampled_means,
)
from warmstart.evaluation.evaluate import HEADLINE, Objective
from warmstart.evaluation.interest_drift import Interest
from warmstart.training.tuning import Kind

KINDS: tuple[Kind, ...] = ("classic", "transfer", "meta")  # as they stand in a table
RANKING = ("popularity", "item-knn", "ease", "als", "fine-tune")
BY_SCENARIO: dict[str, tuple[str, ...]] = {
    "item": ("popularity", "item-knn", "ease", "als", "profile-knn", "profile-als", "fine-tune"),
    "session": ("popularity", "item-knn", "session-knn", "gru4rec", "fine-tune"),
    "cross-domain": ("popularity", "item-knn", "session-knn", "ease", "als", "bridge", "fine-tune"),
}
TRIVIAL_BASELINE = {"ranking": "popularity", "rating": "bias"}
"""What anybody can do without a model; from two known events on, a learner should be better."""
KNOWN_REASONS = {"bias": "it ranks by how well items are rated, not by how likely they are met"}
SMALLER_IS_BETTER = ("mae", "rmse")
SIGNIFICANCE_LEVEL = 0.05


def required_baselines(objective: Objective, scenario: str) -> tuple[str, ...]:
    """The rows without which a report is not made: tuned classics, and transfer learning."""
    return ("bias", "fine-tune") if objective == "rating" else BY_SCENARIO.get(scenario, RANKING)


NOUNS = {"user": "users", "item": "items", "session": "sessions", "cross-domain": "users"}
"""What a task is called, by scenario."""


def metric_sign(metric: str) -> int:
    """1 where more of a metric is better, -1 where less is."""
    return -1 if metric in SMALLER_IS_BETTER else 1


@dataclass(frozen=True)
class Row:
    """What one learner reached, task by task, and what it cost."""

    learner: str
    kind: Kind
    values: Mapping[str, Mapping[int, Float64[np.ndarray, "_"]]]
    """Metric -> shots -> one value for each task; the same tasks in the same order in every row."""
    coverage: Mapping[int, float]
    calibration: Mapping[int, float]
    """Expected calibration error by shots; empty for a learner that does not know how unsure it
    is.
    """
    valid: float
    """Mean quality on the validation tasks: by this a learner may be chosen, never by the figures
    above.
    """
    fit_seconds: float
    tune_seconds: float
    tasks_per_second: float
    """Tasks that were learned from in a second of fitting."""
    adapt_ms: float
    batch_adapt_ms: float
    peak_mb: float
    settings: Mapping[str, Any]
    training: str
    """How the training ended; empty where there was none."""
    interest: Interest | None = None
    """Whether it follows somebody whose interest changes; None where that is not asked."""


class Comparison(NamedTuple):
    """A learner against the classic that is best at that number of shots; `p` is Holm-adjusted."""

    learner: str
    shots: int
    baseline: str
    difference: Difference

    @property
    def significant(self) -> bool:
        return self.difference.p < SIGNIFICANCE_LEVEL


@dataclass(frozen=True)
class Report:
    """The rows of a comparison; it refuses to be made without the rivals that give its figures a
    meaning.
    """

    dataset: Mapping[str, Any]
    scenario: str
    objective: Objective
    shots: tuple[int, ...]
    rows: tuple[Row, ...]
    seed: int

    def __post_init__(self) -> None:
        absent = [
            name
            for name in required_baselines(self.objective, self.scenario)
            if name not in {row.learner for row in self.rows}
        ]
        if absent:
            raise Misuse(
                f"the report lacks the rows of {', '.join(absent)}: a figure says nothing without the classics "
                "and transfer learning beside it; evaluate them on the same tasks"
            )

    @property
    def headline(self) -> str:
        return HEADLINE[self.objective]

    @property
    def metrics(self) -> list[str]:
        return list(self.rows[0].values)

    @property
    def ordered_rows(self) -> list[Row]:
        """The classics first, then transfer learning, then meta-learning; the better ones later in
        each group.
        """
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
        return self._best(list(self.rows), metric, shots)

    def best_baseline(self, shots: int) -> Row:
        """The classic with the best mean of the headline metric."""
        return self._best([row for row in self.rows if row.kind == "classic"], self.headline, shots)

    @property
    def below_trivial_baseline(self) -> dict[str, str]:
        """Learners that are not above the plainest row at two shots or more: where, and what is
        known of the reason.
        """
        found = {
            row.learner: [k for k in self.shots if k >= 2 and self._falls_short(row, k)]
            for row in self.rows
        }
        rows = {row.learner: row for row in self.rows}
        plainest = TRIVIAL_BASELINE[self.objective]
        return {
            name: f"not above {plainest} at k = {', '.join(map(str, shots))}: "
            + (rows[name].training or KNOWN_REASONS.get(name, "no reason is known"))
            for name, shots in found.items()
            if shots and name != plainest
        }

    @cached_property
    def intervals(self) -> dict[tuple[str, str, int], Interval]:
        """(learner, metric, shots) -> mean and 95 % interval."""
        found: dict[tuple[str, str, int], Interval] = {}
        for k in self.shots:
            keys = [(row.learner, metric, k) for row in self.rows for metric in self.metrics]
            values = np.stack(
                [row.values[metric][k] for row in self.rows for metric in self.metrics], axis=1
            )
            means = resampled_means(values, seed=self.seed)
            found |= {key: interval(values[:, i], means[:, i]) for i, key in enumerate(keys)}
        return found

    @cached_property
    def against_best_baseline(self) -> list[Comparison]:
        """Every other learner at every number of shots against the best classic there, on the same
        tasks.
        """
        found: list[Comparison] = []
        others = [row for row in self.rows if row.kind != "classic"]
        for k in self.shots if others else ():
            classic = self.best_baseline(k)
            gains = np.stack(
                [row.values[self.headline][k] - classic.values[self.headline][k] for row in others],
                axis=1,
            )
            means = resampled_means(gains, seed=self.seed)
            found += [
                Comparison(row.learner, k, classic.learner, difference(gains[:, i], means[:, i]))
                for i, row in enumerate(others)
            ]
        adjusted = holm([one.difference.p for one in found])
        return [
            one._replace(difference=one.difference._replace(p=p))
            for one, p in zip(found, adjusted, strict=True)
        ]

    def to_dict(self) -> dict[str, Any]:
        """The report, fit for JSON."""
        return {
            "dataset": dict(self.dataset),
            "scenario": self.scenario,
            "objective": self.objective,
            "seed": self.seed,
            "shots": list(self.shots),
            "results": [self._result(row) for row in self.ordered_rows],
            "against_best_classic": [
                {
                    "learner": one.learner,
                    "shots": one.shots,
                    "classic": one.baseline,
                    "difference": one.difference.mean,
                    "low": one.difference.low,
                    "high": one.difference.high,
                    "p": one.difference.p,
                }
                for one in self.against_best_baseline
            ],
        }

    def to_json(self, path: str | Path) -> None:
        """Write `to_dict` to a file."""
        Path(path).write_text(
            json.dumps(self.to_dict(), indent=2, allow_nan=False) + "\n", encoding="utf-8"
        )

    def to_html(self, path: str | Path) -> None:
        """Write a page with the curves, which needs no network."""
        from warmstart.experiments.html import (
            render_report,
        )  # a view of this class, and plotly is slow to import

        Path(path).write_text(render_report(self), encoding="utf-8")

    def __rich__(self) -> RenderableType:
        from warmstart.experiments.tables import leaderboard  # a view of this class

        return leaderboard(self)

    def __str__(self) -> str:
        console = Console(width=110, record=True, file=StringIO())
        console.print(self)
        return console.export_text()

    def _falls_short(self, row: Row, shots: int) -> bool:
        plain = next(one for one in self.rows if one.learner == TRIVIAL_BASELINE[self.objective])
        sign = metric_sign(self.headline)
        gain = row.values[self.headline][shots].mean() - plain.values[self.headline][shots].mean()
        return bool(sign * gain <= 0)

    def _best(self, rows: list[Row], metric: str, shots: int) -> Row:
        sign = metric_sign(metric)
        return max(rows, key=lambda row: sign * row.values[metric][shots].mean())

    def _result(self, row: Row) -> dict[str, Any]:
        metrics: dict[str, dict[str, Any]] = {
            metric: {str(k): self.intervals[row.learner, metric, k]._asdict() for k in self.shots}
            for metric in self.metrics
        }
        if row.coverage:
            metrics["coverage@10"] = {str(k): {"mean": row.coverage[k]} for k in self.shots}
        if row.calibration:
            metrics["calibration_error"] = {
                str(k): {"mean": row.calibration[k]} for k in self.shots
            }
        return {
            "learner": row.learner,
            "kind": row.kind,
            "metrics": metrics,
            "valid": row.valid,
            "fit_seconds": round(row.fit_seconds, 3),
            "tune_seconds": round(row.tune_seconds, 3),
            "tasks_per_second": round(row.tasks_per_second, 1),
            "adapt_ms": round(row.adapt_ms, 4),
            "batch_adapt_ms": round(row.batch_adapt_ms, 5),
            "peak_mb": round(row.peak_mb),
            "settings": dict(row.settings),
            "training": row.training,
            "shortfall": self.below_trivial_baseline.get(row.learner),
            **({} if row.interest is None else {"interest": row.interest.to_dict()}),
        }
