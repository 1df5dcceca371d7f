"""The results of a comparison as interactive figures."""

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from warmstart.evaluation.evaluate import NAMES
from warmstart.evaluation.interest_drift import CLICKS, CUTOFF, FROZEN_AFTER
from warmstart.experiments.results import TRIVIAL_BASELINE, Results, Row

BASELINE_GREYS = ("#6b7280", "#9ca3af", "#78716c", "#a8a29e", "#64748b")
COLOURS = (
    "#2563eb",
    "#dc2626",
    "#059669",
    "#d97706",
    "#7c3aed",
    "#0891b2",
    "#db2777",
    "#65a30d",
    "#ea580c",
    "#4f46e5",
    "#be123c",
    "#0f766e",
    "#a16207",
    "#9333ea",
    "#0369a1",
)
DASHES = ("dash", "dot", "dashdot", "longdash", "longdashdot")
MAX_BANDS = 8  # the bands of more learners than these would hide each other


def line_styles(report: Results) -> dict[str, dict[str, str]]:
    """Learner -> colour and dash of its line: baselines are grey and dashed."""
    baselines = [row.learner for row in report.ordered_rows if row.kind == "baseline"]
    others = [row.learner for row in reversed(report.ordered_rows) if row.kind != "baseline"]
    greys = {
        name: {"color": BASELINE_GREYS[i % len(BASELINE_GREYS)], "dash": DASHES[i % len(DASHES)]}
        for i, name in enumerate(baselines)
    }
    return greys | {
        name: {"color": COLOURS[i % len(COLOURS)], "dash": "solid"} for i, name in enumerate(others)
    }


def quality_figure(report: Results) -> go.Figure:
    """Each metric by number of shots, with 95 % bands.

    `meta` of a trace is its metric, for the buttons of the page. Of more than `MAX_BANDS` learners
    only the leaders have a band, and the lines of the others are thin and pale.
    """
    figure = go.Figure()
    leaders, styles = _leaders(report), line_styles(report)
    for metric in report.metrics:
        for row in reversed(report.ordered_rows):
            _add_curve(
                figure, report, row, metric, styles[row.learner], leads=row.learner in leaders
            )
    figure.update_layout(hovermode="x unified")
    figure.update_xaxes(title="known events (k)", type="category")
    figure.update_yaxes(title=NAMES[report.headline])
    return apply_layout(figure)


def _add_curve(
    figure: go.Figure, report: Results, row: Row, metric: str, style: dict[str, str], *, leads: bool
) -> None:
    x = [str(k) for k in report.shots]
    intervals = [report.intervals[row.learner, metric, k] for k in report.shots]
    common = {"visible": metric == report.headline, "legendgroup": row.learner, "meta": metric}
    if leads:
        outline = [one.high for one in intervals] + [one.low for one in reversed(intervals)]
        figure.add_scatter(
            x=x + x[::-1], y=outline, mode="none", hoverinfo="skip", showlegend=False,
            fill="toself", fillcolor=style["color"], opacity=0.10, **common,
        )  # fmt: skip
    width = 1.2 if not leads else 1.8 if row.kind == "baseline" else 2.6
    figure.add_scatter(
        x=x, y=[one.mean for one in intervals], name=row.learner, mode="lines+markers",
        line={**style, "width": width}, marker={"size": 6 if leads else 3},
        opacity=1.0 if leads else 0.5, **common,
    )  # fmt: skip


def _leaders(report: Results) -> set[str]:
    """All learners; of too many, the two best, the two best baselines, and the trivial baseline."""
    rows = report.ordered_rows
    if len(rows) <= MAX_BANDS:
        return {row.learner for row in rows}
    baselines = [row.learner for row in rows if row.kind == "baseline"]
    others = [row.learner for row in rows if row.kind != "baseline"]
    return {*baselines[-2:], *others[-2:], TRIVIAL_BASELINE[report.objective]}


def cost_figure(report: Results) -> go.Figure:
    """Quality versus the time of one adaptation."""
    figure = go.Figure()
    styles = line_styles(report)
    for row in report.ordered_rows:
        figure.add_scatter(
            x=[max(row.adapt_ms, 0.001)],  # a logarithmic axis has no zero
            y=[report.mean_over_shots(row, report.headline)],
            text=[row.learner],
            name=row.learner,
            mode="markers+text",
            textposition="top center",
            marker={"size": 12, "color": styles[row.learner]["color"]},
        )
    figure.update_layout(showlegend=False)
    figure.update_xaxes(title="milliseconds to adapt to one user", type="log", dtick=1)
    figure.update_yaxes(title=f"{NAMES[report.headline]}, mean over k")
    return apply_layout(figure)


def drift_figure(report: Results) -> go.Figure:
    """Recall by clicks on intact sessions, after another session, and with a frozen state."""
    panels = {
        "intact": "intact sessions",
        "concatenated": "after a different session",
        "frozen": f"clicks after the first {FROZEN_AFTER} ignored",
    }
    figure = make_subplots(rows=1, cols=3, shared_yaxes=True, subplot_titles=list(panels.values()))
    styles, x = line_styles(report), [str(clicks) for clicks in range(1, CLICKS + 1)]
    for row in reversed(report.ordered_rows):
        for column, panel in enumerate(panels if row.interest is not None else (), start=1):
            figure.add_scatter(
                x=x, y=getattr(row.interest, panel), row=1, col=column,
                name=row.learner, legendgroup=row.learner, showlegend=column == 1,
                mode="lines+markers", marker={"size": 4},
                line={**styles[row.learner], "width": 1.2 if row.kind == "baseline" else 2.6},
            )  # fmt: skip
    figure.update_layout(hovermode="x unified")
    figure.update_xaxes(title="clicks", type="category")
    figure.update_yaxes(title=f"Recall@{CUTOFF} of the next click", col=1)
    return apply_layout(figure).update_layout(margin={"t": 40})


def apply_layout(figure: go.Figure) -> go.Figure:
    """The same figure with fonts, margins and colours that suit a light and a dark page."""
    axis = {"gridcolor": "rgba(128,128,128,0.22)", "zeroline": False, "automargin": True}
    figure.update_xaxes(**axis).update_yaxes(**axis)
    return figure.update_layout(
        template="none",
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": "system-ui, sans-serif", "size": 13, "color": "#71717a"},
        margin={"l": 60, "r": 20, "t": 20, "b": 60},
        legend={"orientation": "h", "yref": "container", "y": 0, "yanchor": "bottom"},
    )
