"""The terminal: progress of long work on standard error, and results as people like to read
them.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from warmstart.cli.explanation_tables import recommendation_table
from warmstart.data.interactions import Id
from warmstart.evaluation.evaluate import HEADLINE, NAMES
from warmstart.experiments.compare import ProgressCallbacks
from warmstart.experiments.results import Report, Row
from warmstart.experiments.tables import format_metric
from warmstart.recommend.recommender import Recommender
from warmstart.recommend.response import Answer
from warmstart.training.loop import History

SPARKLINE_BLOCKS = "▁▂▃▄▅▆▇█"
WIDTH = 24


class TrainingProgress:
    """A progress bar with the validation curve; gone when the work is over, lines stay."""

    def __init__(self, console: Console) -> None:
        self._name = "fitting"
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[curve]}"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
        )
        self._task = self._progress.add_task(self._name, total=None, curve="")
        self.callbacks = ProgressCallbacks(self.on_start, self.on_step, self.on_result)

    def __enter__(self) -> "TrainingProgress":
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def on_start(self, name: str) -> None:
        """Another learner begins."""
        self._name = name
        self._progress.reset(self._task, description=name, total=None, curve="")

    def on_step(self, step: int, steps: int, history: History) -> None:
        """The outer loop took a step."""
        self._progress.update(
            self._task, completed=step, total=steps, curve=sparkline(history.means)
        )

    def on_result(self, row: Row) -> None:
        """A learner has its row."""
        figures = " ".join(
            format_metric(values.mean()) for values in next(iter(row.values.values())).values()
        )
        self.print_line(f"{row.learner:<11} {row.fit_seconds + row.tune_seconds:6.1f} s  {figures}")

    def print_line(self, line: str) -> None:
        self._progress.console.print(escape(line), highlight=False)


def sparkline(values: list[float]) -> str:
    """A row of blocks as high as the values, with the best value in figures."""
    if not values:
        return ""
    low, high = min(values), max(values)
    heights = [
        round((value - low) / ((high - low) or 1.0) * (len(SPARKLINE_BLOCKS) - 1))
        for value in values[-WIDTH:]
    ]
    return f"{''.join(SPARKLINE_BLOCKS[height] for height in heights)} {high:.4f}"


def fit_summary(model: Recommender, folder: Path) -> RenderableType:
    """What was fitted, why, how good it is on validation, and what to do next."""
    facts = model.facts
    by_shots = "  ".join(
        f"k={shots} {format_metric(abs(value))}" for shots, value in facts["valid_quality"].items()
    )
    metric = NAMES[HEADLINE[model.objective]]
    example = ",".join(map(str, model.items.ids.head(2).to_list()))
    what = f"chosen: {facts['choice']}\n" if "choice" in facts else ""
    told = Text(
        f"{what}{model.learner} fitted on {facts['train_tasks']} users of {facts['data']['name']} "
        f"in {facts['fit_seconds']:.0f} s\n"
        f"{metric} on {facts['valid_tasks']} validation users: {by_shots}\n"
        f'saved to {folder}; ask it: warmstart recommend {folder} --history "{example}"'
    )
    return Group(search_table(facts["race"], metric), Text(), told) if "race" in facts else told


def search_table(race: Sequence[Mapping[str, Any]], metric: str) -> RenderableType:
    """The board of a race: each entrant with what it reached on validation users, and what it
    cost.
    """
    table = Table(
        title=f"The race: {metric} on validation users",
        title_justify="left",
        box=None,
        pad_edge=False,
    )
    table.add_column("learner", no_wrap=True)
    shots = max((list(one["valid"]) for one in race), key=len)
    for k in shots:
        table.add_column(f"k={k}", justify="right", no_wrap=True)
    for head in ("mean", "±", "s"):
        table.add_column(head, justify="right", no_wrap=True, style="dim")
    for one in race:
        cells = [format_metric(abs(one["valid"][k])) if k in one["valid"] else "" for k in shots]
        error = "" if one["error"] is None else format_metric(1.96 * one["error"])
        serves = " ←" if one["from"] else ""
        style = "bold green" if one["from"] else "dim" if one["stopped"] else ""
        table.add_row(
            escape(one["learner"]) + serves,
            *cells,
            format_metric(abs(one["mean"])),
            error,
            f"{one['seconds']:.0f}",
            style=style,
        )
    caption = "←: chosen. ±: half the 95 % interval of the mean. Dim: stopped on the way, with what it had reached."
    return Group(table, Text(caption, style="dim"))


def up_summary(
    report: Report, model: Recommender, folder: Path, history: list[Id], answer: Answer
) -> RenderableType:
    """The board, what was chosen, and one recommendation."""
    known = model.recommend((), len(model.items)).items
    titles = {found.item: found.title for found in known}
    met = ", ".join(
        f"{item} ({titles[item]})" if titles.get(item) else str(item) for item in history
    )
    return Group(
        report,
        Text(f"\nFitted on all users and saved to {folder}. Chosen: {model.facts['choice']}.\n"),
        Text(f"To somebody who met {met} it recommends:"),
        recommendation_table(answer),
    )
