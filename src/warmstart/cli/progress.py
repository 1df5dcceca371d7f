"""A progress bar on standard error with the validation curve of the learner in training."""

from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from warmstart.experiments.compare import ProgressCallbacks
from warmstart.experiments.results import Row
from warmstart.experiments.tables import format_metric
from warmstart.training.outer_loop import ValidationCurve

SPARKLINE_BLOCKS = "▁▂▃▄▅▆▇█"
SPARKLINE_WIDTH = 24


class TrainingProgress:
    """A progress bar with the validation curve; it vanishes at the end, printed lines stay."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[curve]}"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
        )
        self._task = self._progress.add_task("fitting", total=None, curve="")
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
        """Show the name of the learner that is fitted from now on."""
        self._progress.reset(self._task, description=name, total=None, curve="")

    def on_step(self, step: int, steps: int, history: ValidationCurve) -> None:
        """Show how far training is, and its validation scores."""
        curve = sparkline(history.means)
        self._progress.update(self._task, completed=step, total=steps, curve=curve)

    def on_result(self, row: Row) -> None:
        """Print the first metric of a finished learner by number of shots."""
        by_shots = next(iter(row.values.values())).values()
        figures = " ".join(format_metric(values.mean()) for values in by_shots)
        self.print_line(f"{row.learner:<11} {row.fit_seconds + row.tune_seconds:6.1f} s  {figures}")

    def print_line(self, line: str) -> None:
        """Print a line above the progress bar."""
        self._progress.console.print(escape(line), highlight=False)


def sparkline(values: list[float]) -> str:
    """The last values as a row of blocks of that height, with the best value in digits."""
    if not values:
        return ""
    low, high = min(values), max(values)
    heights = [(value - low) / ((high - low) or 1.0) for value in values[-SPARKLINE_WIDTH:]]
    blocks = (SPARKLINE_BLOCKS[round(one * (len(SPARKLINE_BLOCKS) - 1))] for one in heights)
    return f"{''.join(blocks)} {high:.4f}"
