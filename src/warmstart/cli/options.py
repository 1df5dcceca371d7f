"""Options that several commands share, how they read data, and how they show a result."""

import json as json_module
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console, RenderableType
from rich.text import Text

from warmstart.cli.arguments import parse_pairs, parse_scenario_options, parse_settings
from warmstart.data.interactions import Interactions
from warmstart.data.reading import inspect
from warmstart.tasks.scenarios import SCENARIOS
from warmstart.tasks.tasks import Objective as ObjectiveName

ERRORS = Console(stderr=True, highlight=False)
if TYPE_CHECKING:
    ScenarioName = str
else:
    ScenarioName = Literal[tuple(SCENARIOS)]  # typer takes choices from a Literal
DATA_HELP = "A file or folder: CSV, TSV, Parquet or JSONL."

Data = Annotated[Path, typer.Argument(help=DATA_HELP, show_default=False)]
OptionalData = Annotated[Path | None, typer.Argument(help=DATA_HELP, show_default=False)]
Columns = Annotated[
    str | None,
    typer.Option(help="Names of columns that were not recognised: user=customer,item=sku."),
]
Items = Annotated[
    Path | None, typer.Option(help="Table of items, if it is not in the folder of the data.")
]
Users = Annotated[
    Path | None, typer.Option(help="Table of users, if it is not in the folder of the data.")
]
Json = Annotated[
    str | None,
    typer.Option("--json", help="Write the result as JSON to this file; - for standard output."),
]
Seed = Annotated[int, typer.Option(help="Random seed: the same seed gives the same result.")]
Objective = Annotated[
    ObjectiveName,
    typer.Option(help="Rank the items by interest, or predict the rating of each."),
]
Scenario = Annotated[
    ScenarioName,
    typer.Option(
        help="What is new: a user, an item, a session, or a user who is known in other domains."
    ),
]
Gap = Annotated[
    str | None,
    typer.Option(help="Sessions: a session ends after so long without an event, as 30m."),
]
SourceDomains = Annotated[
    str | None,
    typer.Option(
        "--source",
        help="Cross-domain: domains whose events are known, separated by commas; else all others.",
    ),
]
Target = Annotated[
    str | None, typer.Option(help="Cross-domain: the domain whose items are recommended.")
]
Model = Annotated[Path, typer.Argument(help="Folder of a fitted model.", show_default=False)]
HistoryOf = Annotated[
    str,
    typer.Option(
        "--history",
        help="Events of the user, oldest first, separated by commas: ITEM or ITEM:VALUE.",
    ),
]
ProfileOf = Annotated[
    str | None, typer.Option("--profile", help="Columns of the user: country=FR,age=25.")
]
Store = Annotated[
    str,
    typer.Option(
        help="sqlite:///FILE or postgresql://USER@HOST/DATABASE.", envvar="WARMSTART_STORE"
    ),
]
Language = Annotated[Literal["en", "zh"], typer.Option(help="Language of the reasons.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", help="A setting of the learner: key=value. Can be given several times."),
]

NewModel = Annotated[Path, typer.Option(help="Folder for the model.", show_default=False)]
LearnerName = Annotated[
    str, typer.Option(help="Name of a learner; auto tries several and takes the best.")
]
LearnerNames = Annotated[
    str, typer.Option(help="Names, or auto, separated by commas; baselines are always added.")
]
Budget = Annotated[str, typer.Option(help="Time limit for fitting: 60s, 10m.")]
BudgetOfEach = Annotated[
    str | None, typer.Option(help="Time limit for fitting each learner: 60s, 10m.")
]
FromStore = Annotated[
    str | None, typer.Option(help="Fit to the events in the store of a service, not to DATA.")
]
WithReport = Annotated[
    bool,
    typer.Option(
        "--compare",
        help="First compare it with the baselines, as evaluate does, and keep the report.",
    ),
]
Shots = Annotated[str, typer.Option(help="Numbers of known events after which to test.")]
TrainShares = Annotated[
    str,
    typer.Option(help="Share of the training users; several make a learning curve: 0.1,0.3,1."),
]
Html = Annotated[
    Path | None, typer.Option(help="Write an HTML page with interactive figures to this file.")
]


@dataclass(frozen=True, kw_only=True)
class DataOptions:
    """Where interactions and tables of items and users are, and what their columns mean."""

    items: Items = None
    users: Users = None
    columns: Columns = None


@dataclass(frozen=True, kw_only=True)
class TaskOptions:
    """What a recommender is fitted for: scenario, objective, seed and settings."""

    scenario: Scenario = "user"
    session_gap: Gap = None
    source: SourceDomains = None
    target: Target = None
    objective: Objective = "ranking"
    seed: Seed = 0
    set_: Settings = None

    def keywords(self) -> dict[str, Any]:
        """The same as keyword arguments of `warmstart.fit` and `warmstart.evaluate`."""
        return {
            "scenario": self.scenario,
            "options": parse_scenario_options(self.session_gap, self.source, self.target),
            "objective": self.objective,
            "seed": self.seed,
            "settings": parse_settings(self.set_),
        }


def option_groups(command: Callable[..., None]) -> Callable[..., None]:
    """A command whose parameters of a dataclass type are replaced by the fields of the dataclass.

    Typer takes one parameter an option, so shared options would stand in every signature.
    """
    given = signature(command).parameters.values()
    groups: dict[str, Any] = {
        one.name: one.annotation for one in given if is_dataclass(one.annotation)
    }
    flat: list[Parameter] = []
    for one in given:
        flat += signature(groups[one.name]).parameters.values() if one.name in groups else [one]

    @wraps(command)
    def run(**values: Any) -> None:
        for name, group in groups.items():
            values[name] = group(**{field.name: values.pop(field.name) for field in fields(group)})
        command(**values)

    parameters = [one.replace(kind=Parameter.KEYWORD_ONLY) for one in flat]
    run.__signature__ = Signature(parameters)  # type: ignore[attr-defined]  # what typer reads
    run.__annotations__ = {one.name: one.annotation for one in parameters}
    return run


def read_data(data: Path, options: DataOptions) -> Interactions:
    """The interactions; what was recognised in them is printed on standard error."""
    seen = inspect(
        data,
        items=options.items,
        users=options.users,
        columns=parse_pairs(options.columns, "--columns"),
    )
    columns = ", ".join(f"{role}={column}" for role, column in seen.columns.items())
    log = seen.log
    ERRORS.print(
        f"{log.name}: {len(log):,} events, {len(log.users):,} users, {len(log.items):,} items; "
        f"columns {columns} (change with --columns)",
        soft_wrap=True,
        markup=False,
    )
    for finding in seen.findings:
        style = "yellow" if finding.level == "warning" else "dim"
        ERRORS.print(Text(f"{finding.level}: {finding.message}", style))
    return log


def show_result(rendered: RenderableType, facts: Mapping[str, Any], target: str | None) -> None:
    """Print a result as tables, and write it as JSON to a file; with "-" print the JSON alone."""
    text = json_module.dumps(facts, indent=2, allow_nan=False, default=str)
    if target == "-":
        print(text)
        return
    Console(highlight=False).print(rendered)
    if target is not None:
        Path(target).write_text(text + "\n", encoding="utf-8")
