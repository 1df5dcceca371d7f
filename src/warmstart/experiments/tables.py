"""The results of a comparison as tables for the terminal."""

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from warmstart.evaluation.evaluate import NAMES
from warmstart.experiments.results import Results, Row


def leaderboard(report: Results) -> RenderableType:
    """The headline metric by shots, means of the others, learners below the trivial baseline."""
    parts: list[RenderableType] = [
        _headline(report),
        _caption(report),
        Text(),
        _other_metrics(report),
    ]
    if any(row.calibration for row in report.rows):
        parts += [Text(), _calibration(report)]
    if report.below_trivial_baseline:
        lines = (f"{name}: {reason}" for name, reason in report.below_trivial_baseline.items())
        parts += [Text(), Text("\n".join(lines))]
    return Group(*parts)


def format_metric(value: float) -> str:
    """A metric with four or five digits: .1234 or 12.345."""
    return f"{value:.4f}".lstrip("0") if 0 <= value < 0.99995 else f"{value:.3f}"


def format_count(count: float) -> str:
    """A large number in few characters: 950, 12k, 3.4M."""
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if count >= size:
            return (
                f"{count / size:.0f}{unit}" if count >= 10 * size else f"{count / size:.1f}{unit}"
            )
    return f"{count:.0f}"


def _headline(report: Results) -> Table:
    title = f"{report.dataset['name']}: {NAMES[report.headline]} by number of known events (k)"
    table = Table(title=title, title_justify="left", box=None, padding=(0, 1, 0, 0))
    table.add_column("learner", no_wrap=True)
    for k in report.shots:
        table.add_column(f"k={k}", justify="right", no_wrap=True)
    for cost in ("fit s", "ms", "MB"):
        table.add_column(cost, justify="right", no_wrap=True, style="dim")
    previous = None
    for row in report.ordered_rows:
        if previous not in (None, row.kind):
            table.add_section()
        previous = row.kind
        cells = [_cell(report, row, k) for k in report.shots]
        cost = (
            f"{row.fit_seconds + row.tune_seconds:.0f}",
            f"{row.adapt_ms:.2f}",
            f"{row.peak_mb:.0f}",
        )
        table.add_row(escape(row.learner), *cells, *cost)
    return table


def _cell(report: Results, row: Row, shots: int) -> Text:
    """Mean, star of significance, and below them half the interval."""
    found = report.intervals[row.learner, report.headline, shots]
    best = report.best(report.headline, shots) is row
    star = "*" if (row.learner, shots) in report.significantly_better else " "
    text = Text(format_metric(found.mean), style="bold green" if best else "")
    return text.append(star).append(
        f"\n±{format_metric((found.high - found.low) / 2)}", style="dim"
    )


def _caption(report: Results) -> Text:
    facts = report.dataset
    return Text(
        f"Tested on {facts['test_tasks']} {report.task_noun} with at least "
        f"{facts['least_events']} events each, which no learner has seen in training. The first k "
        f"events, in {facts['order']} order, are known; {_measured(report)} Bold: best of its "
        "column. ±: half the 95 % bootstrap interval. *: better than the best baseline at that k "
        "(paired test, p < 0.05 after Holm's correction). fit s: seconds to fit, with tuning. "
        "ms: milliseconds to adapt to one of them. MB: peak memory.",
        style="dim",
    )


def _measured(report: Results) -> str:
    if report.objective == "rating":
        return "the next ratings are predicted, and smaller is better."
    return f"all {report.dataset['candidates']} items that can be recommended are ranked."


def _other_metrics(report: Results) -> Table:
    title = f"Means over all k, and training {report.task_noun} per second of fitting"
    table = Table(title=title, title_justify="left", box=None, padding=(0, 1, 0, 0))
    table.add_column("learner")
    metrics = [metric for metric in report.metrics if metric != report.headline]
    has_coverage = bool(report.rows[0].coverage)
    for name in (
        [NAMES[metric] for metric in metrics]
        + ["coverage@10"] * has_coverage
        + [f"{report.task_noun}/s"]
    ):
        table.add_column(name, justify="right")
    for row in report.ordered_rows:
        cells = [format_metric(report.mean_over_shots(row, metric)) for metric in metrics]
        if has_coverage:
            cells.append(f"{100 * sum(row.coverage.values()) / len(row.coverage):.1f} %")
        table.add_row(escape(row.learner), *cells, format_count(row.tasks_per_second))
    return table


def _calibration(report: Results) -> Table:
    title = "Expected calibration error by number of known events (k), of learners that have one"
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
