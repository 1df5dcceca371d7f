"""The board: a report as tables for the terminal."""

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from warmstart.evaluation.evaluate import NAMES
from warmstart.experiments.results import NOUNS, SMALLER_IS_BETTER, Report, Row


def leaderboard(report: Report) -> RenderableType:
    """The headline metric by shots with the cost, the other metrics as means over all shots, and
    what falls short.
    """
    parts: list[RenderableType] = [_headline(report), _caption(report), Text(), _others(report)]
    if any(row.calibration for row in report.rows):
        parts += [Text(), _calibration(report)]
    if report.below_trivial_baseline:
        parts += [
            Text(),
            Text(
                "\n".join(f"{name}: {why}" for name, why in report.below_trivial_baseline.items())
            ),
        ]
    return Group(*parts)


def format_metric(value: float) -> str:
    """A metric in four or five figures: .1234 or 12.345."""
    return f"{value:.4f}".lstrip("0") if 0 <= value < 0.99995 else f"{value:.3f}"


def format_count(count: float) -> str:
    """A large number in few characters: 950, 12k, 3.4M."""
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if count >= size:
            return (
                f"{count / size:.0f}{unit}" if count >= 10 * size else f"{count / size:.1f}{unit}"
            )
    return f"{count:.0f}"


def _headline(report: Report) -> Table:
    title = f"{report.dataset['name']}: {NAMES[report.headline]} by number of known events (k)"
    table = Table(title=title, title_justify="left", box=None, padding=(0, 1, 0, 0))
    table.add_column("learner", no_wrap=True)
    for k in report.shots:
        table.add_column(f"k={k}", justify="right", no_wrap=True)
    for cost in ("fit s", "ms", "MB"):
        table.add_column(cost, justify="right", no_wrap=True, style="dim")
    sure = {
        (one.learner, one.shots)
        for one in report.against_best_baseline
        if one.significant and _better(report, one.difference.mean)
    }
    previous = None
    for row in report.ordered_rows:
        if previous not in (None, row.kind):
            table.add_section()
        previous = row.kind
        cells = [_cell(report, row, k, (row.learner, k) in sure) for k in report.shots]
        cost = (
            f"{row.fit_seconds + row.tune_seconds:.0f}",
            f"{row.adapt_ms:.2f}",
            f"{row.peak_mb:.0f}",
        )
        table.add_row(escape(row.learner), *cells, *cost)
    return table


def _cell(report: Report, row: Row, shots: int, sure: bool) -> Text:
    found = report.intervals[row.learner, report.headline, shots]
    best = report.best(report.headline, shots) is row
    text = Text(format_metric(found.mean), style="bold green" if best else "")
    return text.append("*" if sure else " ").append(
        f"\n±{format_metric((found.high - found.low) / 2)}", style="dim"
    )


def _caption(report: Report) -> Text:
    facts = report.dataset
    return Text(
        f"{facts['test_tasks']} test {NOUNS[report.scenario]} with at least {facts['least_events']} events each, "
        "none seen in training; "
        f"events in {facts['order']} order; {_method(report)} "
        "Bold: best of its column. ±: half the 95 % bootstrap interval over them. "
        "*: better than the best classic there (paired, Holm-adjusted p < 0.05). "
        "fit s: with tuning. ms: to adapt to one of them.",
        style="dim",
    )


def _method(report: Report) -> str:
    if report.objective == "rating":
        return "the next ratings are predicted, smaller is better."
    return f"all {report.dataset['candidates']} items to choose among are ranked."


def _others(report: Report) -> Table:
    title = f"Means over all k, and {NOUNS[report.scenario]} learned from in a second of fitting"
    table = Table(title=title, title_justify="left", box=None, padding=(0, 1, 0, 0))
    table.add_column("learner")
    metrics = [metric for metric in report.metrics if metric != report.headline]
    covers = bool(report.rows[0].coverage)
    for name in (
        [NAMES[metric] for metric in metrics]
        + ["coverage@10"] * covers
        + [f"{NOUNS[report.scenario]}/s"]
    ):
        table.add_column(name, justify="right")
    for row in report.ordered_rows:
        cells = [format_metric(report.mean_over_shots(row, metric)) for metric in metrics]
        if covers:
            cells.append(f"{100 * sum(row.coverage.values()) / len(row.coverage):.1f} %")
        table.add_row(escape(row.learner), *cells, format_count(row.tasks_per_second))
    return table


def _calibration(report: Report) -> Table:
    title = "Expected calibration error by number of known events (k), of those that know how unsure they are"
    table = Table(title=title, title_justify="left", box=None, padding=(0, 1, 0, 0))
    table.add_column("learner")
    for k in report.shots:
        table.add_column(f"k={k}", justify="right")
    for row in report.ordered_rows:
        if row.calibration:
            table.add_row(
                escape(row.learner), *(format_metric(row.calibration[k]) for k in report.shots)
            )
    return table


def _better(report: Report, gain: float) -> bool:
    return gain < 0 if report.headline in SMALLER_IS_BETTER else gain > 0
