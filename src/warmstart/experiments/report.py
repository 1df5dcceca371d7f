"""The results of a comparison to read: tables in the terminal, an HTML page, a JSON file."""

import json
from io import StringIO
from pathlib import Path
from typing import Any

from rich.console import Console, RenderableType

from warmstart.experiments.results import Results, Row
from warmstart.experiments.tables import leaderboard


class Report(Results):
    """The results of a comparison, which can be printed and written as an HTML page or JSON."""

    def to_dict(self) -> dict[str, Any]:
        """The results as values that JSON takes."""
        return {
            "dataset": dict(self.dataset),
            "scenario": self.scenario,
            "objective": self.objective,
            "seed": self.seed,
            "shots": list(self.shots),
            "results": [self._row_dict(row) for row in self.ordered_rows],
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

    def _row_dict(self, row: Row) -> dict[str, Any]:
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

    def to_json(self, path: str | Path) -> None:
        """Write `to_dict` to a file."""
        Path(path).write_text(
            json.dumps(self.to_dict(), indent=2, allow_nan=False) + "\n", encoding="utf-8"
        )

    def to_html(self, path: str | Path) -> None:
        """Write one page with interactive figures, which needs no network."""
        from warmstart.experiments.html import render_report  # imports plotly, which takes a second

        Path(path).write_text(render_report(self), encoding="utf-8")

    def __rich__(self) -> RenderableType:
        return leaderboard(self)

    def __str__(self) -> str:
        console = Console(width=110, record=True, file=StringIO())
        console.print(self)
        return console.export_text()
