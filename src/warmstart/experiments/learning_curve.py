"""Efficiency: how good learners are by how many users they learn from, and how many they need to
match a classic.
"""

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
from warmstart.errors import Misuse
from warmstart.evaluation.evaluate import NAMES
from warmstart.experiments.charts import apply_layout, line_styles
from warmstart.experiments.compare import compare
from warmstart.experiments.html import render_figure
from warmstart.experiments.results import Report, Row, metric_sign
from warmstart.experiments.tables import format_metric


def learning_curve(
    log: Interactions, learners: Sequence[str], shares: Sequence[float], **options: Any
) -> "Efficiency":
    """A comparison for each share of the training users, all judged on the same users; `options` as
    for `compare`.
    """
    rising = sorted(set(shares))
    if len(rising) < 2:
        raise Misuse(
            f"a learning curve needs at least two shares of the training users, not {list(shares)}"
        )
    return Efficiency(
        tuple(rising),
        tuple(compare(log, learners, train_share=share, **options) for share in rising),
    )


@dataclass(frozen=True)
class Efficiency:
    """The reports of one comparison by the share of the training users that was learned from."""

    shares: tuple[float, ...]
    reports: tuple[Report, ...]

    @property
    def headline(self) -> str:
        return self.largest.headline

    @property
    def largest(self) -> Report:
        """The report on the largest share."""
        return self.reports[-1]

    @cached_property
    def curves(self) -> dict[str, list[float]]:
        """Learner -> its mean over all numbers of shots, share by share."""
        return {
            row.learner: [_mean(report, row.learner) for report in self.reports]
            for row in self.largest.ordered_rows
        }

    @property
    def baseline_level(self) -> tuple[str, float]:
        """The classic that is best on the largest share, and what it reaches there."""
        classics = [row.learner for row in self.largest.rows if row.kind == "classic"]
        sign = metric_sign(self.headline)
        best = max(classics, key=lambda name: sign * self.curves[name][-1])
        return best, self.curves[best][-1]

    def share_to_match(self, learner: str) -> float | None:
        """The share with which a learner reaches the best classic's figure on the largest one; None
        if it never does.

        Between two shares the curve is taken for straight in their logarithm.
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
        """One sentence for the learner that needs least: how much less data do for the best
        classic's quality.
        """
        others = [row.learner for row in self.largest.rows if row.kind != "classic"]
        needed = {
            name: share for name in others if (share := self.share_to_match(name)) is not None
        }
        classic, level = self.baseline_level
        most_of_them = "all" if self.shares[-1] == 1 else f"{100 * self.shares[-1]:g} % of the"
        figure = f"{NAMES[self.headline]} {format_metric(level)}, mean over k"
        reach = f"what {classic} reaches with {most_of_them} training users ({figure})"
        if not needed:
            return f"No learner reaches {reach}."
        best = min(needed, key=lambda name: needed[name])
        most = "at most " if needed[best] == self.shares[0] else ""
        return f"{best} reaches {reach} with {most}{100 * needed[best]:.0f} % of them."

    def to_dict(self) -> dict[str, Any]:
        """The curves and all reports, fit for JSON."""
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
        """Write a page with the curves, which needs no network."""
        title = f"{self.largest.dataset['name']}: quality by the data learned from"
        Path(path).write_text(render_figure(title, self.summary, self._figure()), encoding="utf-8")

    def __rich__(self) -> RenderableType:
        title = f"{self.largest.dataset['name']}: {NAMES[self.headline]}, mean over k, by the share of the training users"
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
                escape(row.learner), *map(format_metric, self.curves[row.learner]), self._need(row)
            )
        caption = f"needs: the share that does for the figure of {self.baseline_level[0]} with all of them."
        return Group(table, Text(caption, style="dim"), Text(self.summary))

    def _need(self, row: Row) -> str:
        share = self.share_to_match(row.learner)
        return "" if share is None else f"{100 * share:.0f} %"

    def _figure(self) -> Any:
        import plotly.graph_objects as go  # slow to import, and only a page needs it

        figure = go.Figure()
        users = [report.dataset["train_tasks"] for report in self.reports]
        for row in reversed(self.largest.ordered_rows):
            figure.add_scatter(
                x=users,
                y=self.curves[row.learner],
                name=row.learner,
                mode="lines+markers",
                line=line_styles(self.largest)[row.learner],
            )
        figure.update_layout(hovermode="x unified")
        figure.update_xaxes(title="users learned from", type="log", tickvals=users)
        figure.update_yaxes(title=f"{NAMES[self.headline]}, mean over k")
        return apply_layout(figure)


def _mean(report: Report, learner: str) -> float:
    row = next(row for row in report.rows if row.learner == learner)
    return report.mean_over_shots(row, report.headline)
