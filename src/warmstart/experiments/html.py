"""The page: a report as one HTML file with curves, which needs no network."""

import json
from html import escape
from importlib.resources import files
from string import Template

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from warmstart.evaluation.evaluate import NAMES
from warmstart.evaluation.interest_drift import CLICKS, RECOVERED
from warmstart.experiments.charts import cost_figure, drift_figure, quality_figure
from warmstart.experiments.results import NOUNS, Comparison, Report, Row, metric_sign
from warmstart.experiments.tables import format_count, format_metric


def render_report(report: Report) -> str:
    """The whole page as text."""
    facts = report.dataset
    template = Template(
        files("warmstart.experiments").joinpath("report.html").read_text(encoding="utf-8")
    )
    return template.substitute(
        title=escape(f"{facts['name']}: few-shot recommendation"),
        name=escape(str(facts["name"])),
        verdict=escape(summary(report)),
        facts=escape(_facts(report)),
        buttons="".join(_button(report, metric) for metric in report.metrics),
        curves=_figure(quality_figure(report)),
        costs=_figure(cost_figure(report)),
        tables="".join(_table(report, metric) for metric in report.metrics),
        calibration=_calibration(report),
        interest=_interest(report),
        changes=_figure(drift_figure(report)),
        below_trivial_baseline="".join(
            _shortfall(name, why) for name, why in report.below_trivial_baseline.items()
        ),
        cost_rows="".join(_cost_row(row) for row in report.ordered_rows),
        plotly=get_plotlyjs(),
    )


def render_figure(title: str, verdict: str, figure: go.Figure) -> str:
    """A page of one figure and what it says."""
    return (
        f"<!doctype html><meta charset=utf-8><title>{escape(title)}</title>"
        "<style>body{font:16px system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#18181b}"
        "#curves{height:32rem}</style>"
        f"<h1>{escape(title)}</h1><p>{escape(verdict)}</p><div id=curves></div><script>{get_plotlyjs()}</script>"
        f"<script>const figure = {_figure(figure)};"
        'Plotly.newPlot("curves", figure.data, figure.layout, {responsive: true, displayModeBar: false});</script>'
    )


def summary(report: Report) -> str:
    """One sentence: who is best, and by how much at one and at ten known events."""
    challengers = [row for row in report.ordered_rows if row.kind != "classic"]
    if not challengers:
        return "Only classics were compared."
    best = challengers[-1].learner
    own = [one for one in report.against_best_baseline if one.learner == best]
    parts = [_gain(report, one) for one in own if one.shots in (1, 10)] or [_gain(report, own[-1])]
    return f"The best learner beside the classics is {best}: " + "; ".join(parts) + "."


def _gain(report: Report, one: Comparison) -> str:
    base = report.intervals[one.baseline, report.headline, one.shots].mean
    sign = metric_sign(report.headline)
    if base == 0:
        return f"after {_known(one.shots)} the best classic, {one.baseline}, reaches 0"
    gain, low, high = (round(100 * sign * value / base) for value in one.difference[:3])
    low, high = min(low, high), max(low, high)
    return f"after {_known(one.shots)} {gain:+d} % against {one.baseline} ({low:+d} to {high:+d} %)"


def _known(shots: int) -> str:
    return "one known event" if shots == 1 else f"{shots} known events"


def _facts(report: Report) -> str:
    facts = report.dataset
    task = (
        "the whole catalogue is ranked"
        if report.objective == "ranking"
        else "the next ratings are predicted"
    )
    noun, asked = NOUNS[report.scenario], facts["asked"]
    following = {None: "all that come after are", 1: "the next one is"}.get(
        asked, f"the next {asked} are"
    )
    return (
        f"{facts['events']:,} events, {facts['users']:,} users, {facts['items']:,} items. Judged on "
        f"{facts['test_tasks']:,} {noun} that no learner has seen, with at least {facts['least_events']} events each: "
        f"the first k in {facts['order']} order are known, {following} to be "
        f"predicted, and {task}. Settings were chosen on {facts['valid_tasks']:,} other {noun}. "
        f"Bands, drawn of the leaders where there are many, are 95 % bootstrap intervals over {noun}; a star marks a "
        f"gain over the best classic that holds after Holm's correction (paired, p < 0.05). Seed {report.seed}."
    )


def _button(report: Report, metric: str) -> str:
    pressed = "true" if metric == report.headline else "false"
    return f'<button data-metric="{escape(metric)}" aria-pressed="{pressed}">{escape(NAMES[metric])}</button>'


def _figure(figure: go.Figure) -> str:
    """The figure as JSON that may stand inside a script element."""
    return json.dumps(json.loads(figure.to_json() or "{}")).replace("</", "<\\/")


def _table(report: Report, metric: str) -> str:
    heads = "".join(f"<th>k={k}</th>" for k in report.shots)
    rows = "".join(_table_row(report, metric, row) for row in report.ordered_rows)
    return f"<h3>{NAMES[metric]}</h3><div class=scroll><table><tr><th>learner</th>{heads}</tr>{rows}</table></div>"


def _table_row(report: Report, metric: str, row: Row) -> str:
    sign = metric_sign(report.headline)
    sure = {
        one.shots
        for one in report.against_best_baseline
        if one.learner == row.learner
        and one.significant
        and sign * one.difference.mean > 0
        and metric == report.headline
    }
    cells = []
    for k in report.shots:
        mean, low, high = report.intervals[row.learner, metric, k]
        kind = " class=best" if report.best(metric, k) is row else ""
        star = "*" if k in sure else ""
        cells.append(
            f"<td{kind}>{format_metric(mean)}{star}<small>{format_metric(low)} to {format_metric(high)}</small></td>"
        )
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
        + "".join(f"<td>{format_metric(row.calibration[k])}</td>" for k in report.shots)
        + "</tr>"
        for row in rows
    )
    table = f"<div class=scroll><table><tr><th>learner</th>{heads}</tr>{body}</table></div>"
    return f"<h2>Expected calibration error</h2><p class=facts>{what}</p>{table}"


def _interest(report: Report) -> str:
    """The section on sessions whose interest changes; empty where that was not asked."""
    rows = [
        (row.learner, row.kind, row.interest)
        for row in report.ordered_rows
        if row.interest is not None
    ]
    if not rows:
        return ""
    what = (
        f"{rows[0][2].sessions:,} sessions of more than {CLICKS} clicks. After a session of another kind, a learner is "
        f"back when it finds {100 * RECOVERED:.0f} % of what it finds without."
    )
    body = "".join(
        f"<tr class={kind}><th>{escape(name)}</th><td>{format_metric(one.cohort[-1])}</td><td>{format_metric(one.frozen[-1])}</td>"
        f"<td>{format_metric(one.spliced[0])}</td><td>{one.recovery or f'more than {CLICKS}'}</td></tr>"
        for name, kind, one in rows
    )
    heads = (
        "learner",
        f"after {CLICKS} clicks",
        "frozen",
        "1 click after another session",
        "clicks to be back",
    )
    head = "".join(f"<th>{name}</th>" for name in heads)
    table = f"<div class=scroll><table><tr>{head}</tr>{body}</table></div>"
    chart = '<div class="card"><div id="changes" class="plot"></div></div>'
    return f"<h2>When the interest changes</h2><p class=facts>{what}</p>{chart}{table}"


def _shortfall(name: str, why: str) -> str:
    return f"<p class=facts>{escape(name)}: {escape(why)}.</p>"


def _cost_row(row: Row) -> str:
    settings = ", ".join(f"{key}={value}" for key, value in row.settings.items()) or "none"
    return (
        f"<tr class={row.kind}><th>{escape(row.learner)}</th><td>{row.fit_seconds:.1f}</td>"
        f"<td>{row.tune_seconds:.1f}</td>"
        f"<td>{format_count(row.tasks_per_second)}</td><td>{row.adapt_ms:.3f}</td><td>{row.batch_adapt_ms:.4f}</td><td>{row.peak_mb:.0f}</td>"
        f"<td class=text>{escape(settings)}</td></tr>"
    )
