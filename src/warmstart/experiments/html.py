"""A report as one HTML file with interactive figures, which needs no network."""

import json
from typing import Any

import plotly.graph_objects as go
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from warmstart.evaluation.evaluate import NAMES
from warmstart.evaluation.interest_drift import CLICKS, RECOVERY_SHARE, InterestDrift
from warmstart.experiments.charts import cost_figure, drift_figure, quality_figure
from warmstart.experiments.results import Comparison, Results, Row, metric_sign
from warmstart.experiments.tables import format_count, format_metric

TEMPLATES = Environment(
    loader=PackageLoader("warmstart.experiments", "."),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def render_report(report: Results) -> str:
    """The HTML page of a report, as text."""
    figures = {"curves": quality_figure(report), "costs": cost_figure(report)}
    drift = _drift(report)
    if drift is not None:
        figures["drift"] = drift_figure(report)
    return TEMPLATES.get_template("report.html").render(
        name=report.dataset["name"],
        summary=summary(report),
        facts=_facts(report),
        task_noun=report.task_noun,
        shots=report.shots,
        metrics=[_metric(report, metric) for metric in report.metrics],
        below_trivial_baseline=report.below_trivial_baseline.items(),
        drift=drift,
        calibration=_calibration(report),
        costs=[_cost(row) for row in report.ordered_rows],
        plotly=_plotly(),
        figures=_script_json({name: _figure_json(figure) for name, figure in figures.items()}),
    )


def render_figure(title: str, summary: str, figure: go.Figure) -> str:
    """An HTML page of one figure, below its title and a sentence, as text."""
    return TEMPLATES.get_template("figure.html").render(
        title=title, summary=summary, plotly=_plotly(), figure=_script_json(_figure_json(figure))
    )


def summary(report: Results) -> str:
    """One sentence: the best learner, and its gain over the baselines at 1 and 10 known events."""
    challengers = [row for row in report.ordered_rows if row.kind != "baseline"]
    if not challengers:
        return "Only baselines were compared."
    best = challengers[-1].learner
    comparisons = [one for one in report.against_best_baseline if one.learner == best]
    parts = [_gain(report, one) for one in comparisons if one.shots in (1, 10)]
    return (
        f"The best learner besides the baselines is {best}: "
        + "; ".join(parts or [_gain(report, comparisons[-1])])
        + "."
    )


def _gain(report: Results, one: Comparison) -> str:
    baseline_mean = report.intervals[one.baseline, report.headline, one.shots].mean
    known = "one known event" if one.shots == 1 else f"{one.shots} known events"
    if baseline_mean == 0:
        return f"after {known} the best baseline, {one.baseline}, reaches 0"
    sign = metric_sign(report.headline)
    gain, *ends = (round(100 * sign * value / baseline_mean) for value in one.difference[:3])
    low, high = sorted(ends)
    return f"after {known} {gain:+d} % against {one.baseline} ({low:+d} to {high:+d} %)"


def _facts(report: Results) -> str:
    """How the figures were measured, in a paragraph."""
    facts, noun, horizon = report.dataset, report.task_noun, report.dataset["asked"]
    following = {None: "all later ones are", 1: "the next one is"}.get(
        horizon, f"the next {horizon} are"
    )
    ranked = (
        "the whole catalogue is ranked"
        if report.objective == "ranking"
        else "their ratings are compared"
    )
    return (
        f"{facts['events']:,} events of {facts['users']:,} users with {facts['items']:,} items. "
        f"All learners are tested on the same {facts['test_tasks']:,} {noun}, which no learner has "
        f"seen in training, with at least {facts['least_events']} events each: the first k events, "
        f"in {facts['order']} order, are known, {following} to be predicted, and {ranked}. "
        f"Settings were chosen on {facts['valid_tasks']:,} other {noun}. Shaded bands are 95 % "
        f"bootstrap intervals over {noun}; among many learners only the best have one. A star "
        "marks a learner that is better than the best baseline at that k (paired test, p < 0.05 "
        f"after Holm's correction). Random seed: {report.seed}."
    )


def _metric(report: Results, metric: str) -> dict[str, Any]:
    """The table of one metric: a row a learner, a cell a number of known events."""
    headline = metric == report.headline
    rows = [
        {
            "learner": row.learner,
            "kind": row.kind,
            "cells": [_cell(report, metric, row, k) for k in report.shots],
        }
        for row in report.ordered_rows
    ]
    return {"key": metric, "name": NAMES[metric], "headline": headline, "rows": rows}


def _cell(report: Results, metric: str, row: Row, shots: int) -> dict[str, Any]:
    mean, low, high = (
        format_metric(value) for value in report.intervals[row.learner, metric, shots]
    )
    significant = metric == report.headline and (row.learner, shots) in report.significantly_better
    return {
        "mean": mean, "low": low, "high": high,
        "best": report.best(metric, shots) is row, "significant": significant,
    }  # fmt: skip


def _calibration(report: Results) -> dict[str, Any] | None:
    """The section on uncertainty; None if no learner estimates its uncertainty."""
    rows = [row for row in report.ordered_rows if row.calibration]
    if not rows:
        return None
    explanation = (
        "The probability that a learner gives to its own ten best items, compared with the share "
        "of the next events that are among them: the mean difference over ten equally large "
        f"groups of {report.task_noun}. 0 is perfect."
        if report.objective == "ranking"
        else "How often a rating lies below each tenth of its predicted distribution: the mean "
        "difference from that tenth. 0 is perfect."
    )
    cells = [[format_metric(row.calibration[k]) for k in report.shots] for row in rows]
    return {
        "explanation": explanation,
        "rows": [
            {"learner": row.learner, "kind": row.kind, "cells": own}
            for row, own in zip(rows, cells, strict=True)
        ],
    }


def _drift(report: Results) -> dict[str, Any] | None:
    """The section on sessions whose interest changes; None if that was not measured."""
    rows = [(row, row.interest) for row in report.ordered_rows if row.interest is not None]
    if not rows:
        return None
    explanation = (
        f"{rows[0][1].sessions:,} sessions of more than {CLICKS} clicks. In the second test "
        "another session is put in front of each; a learner has recovered when it finds "
        f"{100 * RECOVERY_SHARE:.0f} % of what it finds without. In the third test the learner "
        "ignores the later clicks."
    )
    heads = (
        "learner",
        f"after {CLICKS} clicks",
        "later clicks ignored",
        "1 click after another session",
        "clicks to recover",
    )
    return {
        "explanation": explanation,
        "heads": heads,
        "rows": [
            {"learner": row.learner, "kind": row.kind, "cells": _drift_cells(found)}
            for row, found in rows
        ],
    }


def _drift_cells(found: InterestDrift) -> list[str]:
    recalls = (found.intact[-1], found.frozen[-1], found.concatenated[0])
    recovery = str(found.recovery or f"more than {CLICKS}")
    return [*(format_metric(float(value)) for value in recalls), recovery]


def _cost(row: Row) -> dict[str, Any]:
    return {
        "learner": row.learner,
        "kind": row.kind,
        "cells": (
            f"{row.fit_seconds:.1f}", f"{row.tune_seconds:.1f}", format_count(row.tasks_per_second),
            f"{row.adapt_ms:.3f}", f"{row.batch_adapt_ms:.4f}", f"{row.peak_mb:.0f}",
        ),
        "settings": ", ".join(f"{key}={value}" for key, value in row.settings.items()) or "none",
    }  # fmt: skip


def _figure_json(figure: go.Figure) -> Any:
    return json.loads(figure.to_json() or "{}")


def _script_json(value: Any) -> Markup:
    """JSON that is safe inside a script element: no text of it can close the element."""
    return Markup(json.dumps(value).replace("</", "<\\/"))


def _plotly() -> Markup:
    """The plotting library itself, so that the page needs no network."""
    return Markup(get_plotlyjs())
