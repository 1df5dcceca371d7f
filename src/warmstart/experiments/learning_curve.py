"""Quality by share of the training users, and the share needed to match the best baseline."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from warmstart.data.interactions import Interactions
from warmstart.errors import UsageError
from warmstart.evaluation.evaluate import NAMES
from warmstart.experiments.compare import evaluate
from warmstart.experiments.report import Report
from warmstart.experiments.results import Row, metric_sign
from warmstart.experiments.tables import format_metric


def learning_curve(
    log: Interactions, learners: Sequence[str], shares: Sequence[float], **options: Any
) -> "LearningCurve":
    """One comparison for each share of the training users, all on the same test users.

    `options` are those of `evaluate`.
    """
    rising = sorted(set(shares))
    if len(rising) < 2:
        raise UsageError(
            f"a learning curve needs at least two shares of the training users, not {list(shares)}"
        )
    reports = (evaluate(log, learners, train_share=share, **options) for share in rising)
    return LearningCurve(tuple(rising), tuple(reports))


@dataclass(frozen=True)
class LearningCurve:
    """The reports of one comparison by share of the training users."""

    shares: tuple[float, ...]
    reports: tuple[Report, ...]

    @property
    def headline(self) -> str:
        return self.largest.headline

    @property
    def largest(self) -> Report:
        """The report with the largest share."""
        return self.reports[-1]

    @cached_property
    def curves(self) -> dict[str, list[float]]:
        """Learner -> its mean over all numbers of shots, share by share."""
        return {
            row.learner: [_mean_score(report, row.learner) for report in self.reports]
            for row in self.largest.ordered_rows
        }

    @property
    def baseline_level(self) -> tuple[str, float]:
        """The best baseline with the largest share, and its mean there."""
        baselines = [row.learner for row in self.largest.rows if row.kind == "baseline"]
        sign = metric_sign(self.headline)
        best = max(baselines, key=lambda name: sign * self.curves[name][-1])
        return best, self.curves[best][-1]

    def share_to_match(self, learner: str) -> float | None:
        """The share with which a learner matches the best baseline's mean with the largest share.

        None if it never does. Between two shares the curve is interpolated linearly in the
        logarithm of the share.
        """
        sign = metric_sign(self.headline)
        level = sign * self.baseline_level[1]
        values = sign * np.array(self.curves[learner])
        reached = np.flatnonzero(values >= level)
        if len(reached) == 0:
            return None
        first = int(reached[0])
        if first == 0:
            return self.shares[0]
        low, high = values[first - 1], values[first]
        part = (level - low) / (high - low)
        return float(self.shares[first - 1] ** (1 - part) * self.shares[first] ** part)

    @property
    def summary(self) -> str:
        """One sentence: which learner needs the smallest share to match the best baseline."""
        challengers = [row.learner for row in self.largest.rows if row.kind != "baseline"]
        needed = {
            name: share for name in challengers if (share := self.share_to_match(name)) is not None
        }
        baseline, level = self.baseline_level
        all_users = "all" if self.shares[-1] == 1 else f"{100 * self.shares[-1]:g} % of the"
        metric = f"{NAMES[self.headline]} {format_metric(level)}, mean over k"
        goal = f"what {baseline} reaches with {all_users} training users ({metric})"
        if not needed:
            return f"No learner reaches {goal}."
        best = min(needed, key=lambda name: needed[name])
        at_most = "at most " if needed[best] == self.shares[0] else ""
        return f"{best} reaches {goal} with {at_most}{100 * needed[best]:.0f} % of them."

    def to_dict(self) -> dict[str, Any]:
        """The curves and all reports as values that JSON takes."""
        return {
            "shares": list(self.shares),
            "metric": self.headline,
            "curves": self.curves,
            "best_classic": {"learner": self.baseline_level[0], "value": self.baseline_level[1]},
            "needs": {name: self.share_to_match(name) for name in self.curves},
            "verdict": self.summary,
            "reports": [report.to_dict() for report in self.reports],
        }

    def to_json(self, path: str | Path) -> None:
        """Write `to_dict` to a file."""
        Path(path).write_text(
            json.dumps(self.to_dict(), indent=2, allow_nan=False) + "\n", encoding="utf-8"
        )

    def to_html(self, path: str | Path) -> None:
        """Write one page with the curves, which needs no network."""
        from warmstart.experiments.html import render_figure  # imports plotly, which takes a second

        title = f"{self.largest.dataset['name']}: quality by number of training users"
        Path(path).write_text(render_figure(title, self.summary, self._figure()), encoding="utf-8")

    def __rich__(self) -> RenderableType:
        dataset = self.largest.dataset["name"]
        title = f"{dataset}: {NAMES[self.headline]}, mean over k, by share of the training users"
        table = Table(title=title, title_justify="left", box=None, padding=(0, 1, 0, 0))
        table.add_column("learner", no_wrap=True)
        for share, report in zip(self.shares, self.reports, strict=True):
            table.add_column(
                f"{100 * share:g} %\n({report.dataset['train_tasks']:,})", justify="right"
            )
        table.add_column("needs", justify="right")
        previous = None
        for row in self.largest.ordered_rows:
            if previous not in (None, row.kind):
                table.add_section()
            previous = row.kind
            table.add_row(
                escape(row.learner),
                *map(format_metric, self.curves[row.learner]),
                self._share_text(row),
            )
        baseline = self.baseline_level[0]
        caption = f"needs: the share with which a learner reaches the last figure of {baseline}."
        return Group(table, Text(caption, style="dim"), Text(self.summary))

    def _share_text(self, row: Row) -> str:
        share = self.share_to_match(row.learner)
        return "" if share is None else f"{100 * share:.0f} %"

    def _figure(self) -> Any:
        import plotly.graph_objects as go  # takes a second to import, and only a page needs it

        from warmstart.experiments.charts import apply_layout, line_styles

        figure, styles = go.Figure(), line_styles(self.largest)
        users = [report.dataset["train_tasks"] for report in self.reports]
        for row in reversed(self.largest.ordered_rows):
            name = row.learner
            figure.add_scatter(
                x=users, y=self.curves[name], name=name, mode="lines+markers", line=styles[name]
            )
        figure.update_layout(hovermode="x unified")
        figure.update_xaxes(title="training users", type="log", tickvals=users)
        figure.update_yaxes(title=f"{NAMES[self.headline]}, mean over k")
        return apply_layout(figure)


def _mean_score(report: Report, learner: str) -> float:
    row = next(row for row in report.rows if row.learner == learner)
    return report.mean_over_shots(row, report.headline)
