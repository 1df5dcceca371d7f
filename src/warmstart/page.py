"""The page: a report as one HTML file with curves, which needs no network."""

import json
from html import escape
from importlib.resources import files
from string import Template

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from warmstart.board import brief, number
from warmstart.evaluation import NAMES
from warmstart.report import PLAINEST, Comparison, Report, Row, direction

CLASSIC_GREYS = ("#6b7280", "#9ca3af", "#78716c", "#a8a29e", "#64748b")
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
CROWD = 8  # of more learners than these the bands would hide each other


def page(report: Report) -> str:
    """The whole page as text."""
    facts = report.dataset
    template = Template(files("warmstart").joinpath("page.html").read_text(encoding="utf-8"))
    return template.substitute(
        title=escape(f"{facts['name']}: few-shot recommendation"),
        name=escape(str(facts["name"])),
        verdict=escape(verdict(report)),
        facts=escape(_facts(report)),
        buttons="".join(_button(report, metric) for metric in report.metrics),
        curves=_figure(_curves(report)),
        costs=_figure(_costs(report)),
        tables="".join(_table(report, metric) for metric in report.metrics),
        calibration=_calibration(report),
        shortfalls="".join(_shortfall(name, why) for name, why in report.shortfalls.items()),
        cost_rows="".join(_cost_row(row) for row in report.ordered_rows),
        plotly=get_plotlyjs(),
    )


def alone(title: str, verdict: str, figure: go.Figure) -> str:
    """A page of one figure and what it says."""
    return (
        f"<!doctype html><meta charset=utf-8><title>{escape(title)}</title>"
        "<style>body{font:16px system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#18181b}"
        "#curves{height:32rem}</style>"
        f"<h1>{escape(title)}</h1><p>{escape(verdict)}</p><div id=curves></div><script>{get_plotlyjs()}</script>"
        f"<script>const figure = {_figure(figure)};"
        'Plotly.newPlot("curves", figure.data, figure.layout, {responsive: true, displayModeBar: false});</script>'
    )


def verdict(report: Report) -> str:
    """One sentence: who is best, and by how much at one and at ten known events."""
    challengers = [row for row in report.ordered_rows if row.kind != "classic"]
    if not challengers:
        return "Only classics were compared."
    best = challengers[-1].learner
    own = [one for one in report.against_best_classic if one.learner == best]
    parts = [_gain(report, one) for one in own if one.shots in (1, 10)] or [_gain(report, own[-1])]
    return f"The best learner beside the classics is {best}: " + "; ".join(parts) + "."


def _gain(report: Report, one: Comparison) -> str:
    base = report.intervals[one.classic, report.headline, one.shots].mean
    sign = direction(report.headline)
    if base == 0:
        return f"after {_known(one.shots)} the best classic, {one.classic}, reaches 0"
    gain, low, high = (round(100 * sign * value / base) for value in one.difference[:3])
    low, high = min(low, high), max(low, high)
    return f"after {_known(one.shots)} {gain:+d} % against {one.classic} ({low:+d} to {high:+d} %)"


def _known(shots: int) -> str:
    return "one known event" if shots == 1 else f"{shots} known events"


def _facts(report: Report) -> str:
    facts = report.dataset
    task = "the whole catalogue is ranked" if report.objective == "ranking" else "the next ratings are predicted"
    return (
        f"{facts['events']:,} events, {facts['owners']:,} users, {facts['items']:,} items. Judged on "
        f"{facts['test_tasks']:,} users that no learner has seen, with at least {facts['least_events']} events each: "
        f"the first k in {facts['order']} order are known, the next 20 are to be predicted, and {task}. "
        f"Settings were chosen on {facts['valid_tasks']:,} other users. "
        "Bands, drawn of the leaders where there are many, are 95 % bootstrap intervals over users; a star marks a "
        f"gain over the best classic that holds after Holm's correction (paired, p < 0.05). Seed {report.seed}."
    )


def _button(report: Report, metric: str) -> str:
    pressed = "true" if metric == report.headline else "false"
    return f'<button data-metric="{escape(metric)}" aria-pressed="{pressed}">{escape(NAMES[metric])}</button>'


def styles(report: Report) -> dict[str, dict[str, str]]:
    classics = [row.learner for row in report.ordered_rows if row.kind == "classic"]
    others = [row.learner for row in reversed(report.ordered_rows) if row.kind != "classic"]
    greys = {
        name: {"color": CLASSIC_GREYS[i % len(CLASSIC_GREYS)], "dash": DASHES[i % len(DASHES)]}
        for i, name in enumerate(classics)
    }
    return greys | {name: {"color": COLOURS[i % len(COLOURS)], "dash": "solid"} for i, name in enumerate(others)}


def _curves(report: Report) -> go.Figure:
    """One curve and one band for each learner and metric; `meta` says which, for the page's buttons.

    In a crowd only the leaders have a band, and the others step back.
    """
    figure = go.Figure()
    leaders = _leaders(report)
    lines = styles(report)
    x = [str(k) for k in report.shots]
    for metric in report.metrics:
        for row in reversed(report.ordered_rows):
            found = [report.intervals[row.learner, metric, k] for k in report.shots]
            shown = {"visible": metric == report.headline, "legendgroup": row.learner, "meta": metric}
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
    return plain(figure)


def _leaders(report: Report) -> set[str]:
    """All learners, or of a crowd the two best, the two best classics, and popularity."""
    rows = report.ordered_rows
    if len(rows) <= CROWD:
        return {row.learner for row in rows}
    classics, others = ([row.learner for row in rows if (row.kind == "classic") is ours] for ours in (True, False))
    return {*classics[-2:], *others[-2:], PLAINEST[report.objective]}


def _costs(report: Report) -> go.Figure:
    """Quality against the time that one adaptation takes."""
    figure = go.Figure()
    lines = styles(report)
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
    return plain(figure)


def plain(figure: go.Figure) -> go.Figure:
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


def _figure(figure: go.Figure) -> str:
    """The figure as JSON that may stand inside a script element."""
    return json.dumps(json.loads(figure.to_json() or "{}")).replace("</", "<\\/")


def _table(report: Report, metric: str) -> str:
    heads = "".join(f"<th>k={k}</th>" for k in report.shots)
    rows = "".join(_table_row(report, metric, row) for row in report.ordered_rows)
    return f"<h3>{NAMES[metric]}</h3><div class=scroll><table><tr><th>learner</th>{heads}</tr>{rows}</table></div>"


def _table_row(report: Report, metric: str, row: Row) -> str:
    sign = direction(report.headline)
    sure = {
        one.shots
        for one in report.against_best_classic
        if one.learner == row.learner and one.sure and sign * one.difference.mean > 0 and metric == report.headline
    }
    cells = []
    for k in report.shots:
        mean, low, high = report.intervals[row.learner, metric, k]
        kind = " class=best" if report.best(metric, k) is row else ""
        star = "*" if k in sure else ""
        cells.append(f"<td{kind}>{number(mean)}{star}<small>{number(low)} to {number(high)}</small></td>")
    return f"<tr class={row.kind}><th>{escape(row.learner)}</th>{''.join(cells)}</tr>"


def _calibration(report: Report) -> str:
    """The section on uncertainty; empty where no learner knows how unsure it is."""
    rows = [row for row in report.ordered_rows if row.calibration]
    if not rows:
        return ""
    what = (
        "The chance that a learner gives to its own ten best items, against the share of the next events that are "
        "among them: mean distance over ten equally full bins of users."
        if report.objective == "ranking"
        else "How often a rating lies below each tenth of its predicted distribution: mean distance from that tenth."
    )
    heads = "".join(f"<th>k={k}</th>" for k in report.shots)
    body = "".join(
        f"<tr class={row.kind}><th>{escape(row.learner)}</th>"
        + "".join(f"<td>{number(row.calibration[k])}</td>" for k in report.shots)
        + "</tr>"
        for row in rows
    )
    table = f"<div class=scroll><table><tr><th>learner</th>{heads}</tr>{body}</table></div>"
    return f"<h2>Expected calibration error</h2><p class=facts>{what}</p>{table}"


def _shortfall(name: str, why: str) -> str:
    return f"<p class=facts>{escape(name)}: {escape(why)}.</p>"


def _cost_row(row: Row) -> str:
    settings = ", ".join(f"{key}={value}" for key, value in row.settings.items()) or "none"
    return (
        f"<tr class={row.kind}><th>{escape(row.learner)}</th><td>{row.fit_seconds:.1f}</td>"
        f"<td>{row.tune_seconds:.1f}</td>"
        f"<td>{brief(row.tasks_per_second)}</td><td>{row.adapt_ms:.3f}</td><td>{row.batch_adapt_ms:.4f}</td><td>{row.peak_mb:.0f}</td>"
        f"<td class=text>{escape(settings)}</td></tr>"
    )
