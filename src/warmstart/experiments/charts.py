"""Charts: what a report looks like as curves."""

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from warmstart.evaluation.evaluate import NAMES
from warmstart.evaluation.interest_drift import AT, CLICKS, FROZEN
from warmstart.experiments.results import TRIVIAL_BASELINE, Report

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
MAX_BANDS = 8  # of more learners than these the bands would hide each other


def line_styles(report: Report) -> dict[str, dict[str, str]]:
    classics = [row.learner for row in report.ordered_rows if row.kind == "classic"]
    others = [row.learner for row in reversed(report.ordered_rows) if row.kind != "classic"]
    greys = {
        name: {"color": BASELINE_GREYS[i % len(BASELINE_GREYS)], "dash": DASHES[i % len(DASHES)]}
        for i, name in enumerate(classics)
    }
    return greys | {
        name: {"color": COLOURS[i % len(COLOURS)], "dash": "solid"} for i, name in enumerate(others)
    }


def quality_figure(report: Report) -> go.Figure:
    """One curve and one band for each learner and metric; `meta` says which, for the page's
    buttons.

    In a crowd only the leaders have a band, and the others step back.
    """
    figure = go.Figure()
    leaders = _leaders(report)
    lines = line_styles(report)
    x = [str(k) for k in report.shots]
    for metric in report.metrics:
        for row in reversed(report.ordered_rows):
            found = [report.intervals[row.learner, metric, k] for k in report.shots]
            shown = {
                "visible": metric == report.headline,
                "legendgroup": row.learner,
                "meta": metric,
            }
            edge = [one.high for one in found] + [one.low for one in reversed(found)]
            style, leads = lines[row.learner], row.learner in leaders
            if leads:
                figure.add_scatter(
                    x=x + x[::-1], y=edge, fill="toself", fillcolor=style["color"], opacity=0.10, mode="none",
                    hoverinfo="skip", showlegend=False, **shown,
                )  # fmt: skip
            width = 1.2 if not leads else 1.8 if row.kind == "classic" else 2.6
            figure.add_scatter(
                x=x, y=[one.mean for one in found], name=row.learner, mode="lines+markers",
                line={**style, "width": width}, marker={"size": 6 if leads else 3}, opacity=1.0 if leads else 0.5,
                **shown,
            )  # fmt: skip
    figure.update_layout(hovermode="x unified")
    figure.update_xaxes(title="known events (k)", type="category")
    figure.update_yaxes(title=NAMES[report.headline])
    return apply_layout(figure)


def _leaders(report: Report) -> set[str]:
    """All learners, or of a crowd the two best, the two best classics, and popularity."""
    rows = report.ordered_rows
    if len(rows) <= MAX_BANDS:
        return {row.learner for row in rows}
    classics, others = (
        [row.learner for row in rows if (row.kind == "classic") is ours] for ours in (True, False)
    )
    return {*classics[-2:], *others[-2:], TRIVIAL_BASELINE[report.objective]}


def cost_figure(report: Report) -> go.Figure:
    """Quality against the time that one adaptation takes."""
    figure = go.Figure()
    lines = line_styles(report)
    for row in report.ordered_rows:
        figure.add_scatter(
            x=[max(row.adapt_ms, 0.001)],
            y=[report.mean_over_shots(row, report.headline)],
            text=[row.learner],
            name=row.learner,
            mode="markers+text",
            textposition="top center",
            marker={"size": 12, "color": lines[row.learner]["color"]},
        )
    figure.update_layout(showlegend=False)
    figure.update_xaxes(title="milliseconds to adapt to one user", type="log", dtick=1)
    figure.update_yaxes(title=f"{NAMES[report.headline]}, mean over k")
    return apply_layout(figure)


def apply_layout(figure: go.Figure) -> go.Figure:
    quiet = {"gridcolor": "rgba(128,128,128,0.22)", "zeroline": False, "automargin": True}
    figure.update_xaxes(**quiet).update_yaxes(**quiet)
    return figure.update_layout(
        template="none",
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": "system-ui, sans-serif", "size": 13, "color": "#71717a"},
        margin={"l": 60, "r": 20, "t": 20, "b": 60},
        legend={"orientation": "h", "yref": "container", "y": 0, "yanchor": "bottom"},
    )


def drift_figure(report: Report) -> go.Figure:
    """How each learner follows an interest: on whole sessions, after another session, and with a
    frozen state.
    """
    panels = {
        "cohort": "whole sessions",
        "spliced": "after a session of another kind",
        "frozen": f"state frozen after {FROZEN} clicks",
    }
    figure = make_subplots(rows=1, cols=3, shared_yaxes=True, subplot_titles=list(panels.values()))
    lines, x = line_styles(report), [str(clicks) for clicks in range(1, CLICKS + 1)]
    for row in reversed(report.ordered_rows):
        for column, panel in enumerate(panels if row.interest is not None else (), start=1):
            figure.add_scatter(
                x=x, y=getattr(row.interest, panel), name=row.learner, legendgroup=row.learner, row=1, col=column,
                showlegend=column == 1, mode="lines+markers", marker={"size": 4},
                line={**lines[row.learner], "width": 1.2 if row.kind == "classic" else 2.6},
            )  # fmt: skip
    figure.update_layout(hovermode="x unified")
    figure.update_xaxes(title="clicks", type="category")
    figure.update_yaxes(title=f"Recall@{AT} of the next click", col=1)
    return apply_layout(figure).update_layout(margin={"t": 40})
