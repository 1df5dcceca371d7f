"""Options: what several verbs of the command line take, and how they read data and show what they
found.
"""

import json as json_module
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console, RenderableType
from rich.text import Text

from warmstart.cli.arguments import parse_pairs
from warmstart.data.interactions import Interactions
from warmstart.data.reading import inspect

ERRORS = Console(stderr=True, highlight=False)

Data = Annotated[
    Path, typer.Argument(help="A file or folder: CSV, TSV, Parquet or JSONL.", show_default=False)
]
Columns = Annotated[
    str | None, typer.Option(help="Columns, where the guess is wrong: user=customer,item=sku.")
]
Items = Annotated[Path | None, typer.Option(help="Table of items, if not beside the interactions.")]
Users = Annotated[Path | None, typer.Option(help="Table of users, if not beside the interactions.")]
Json = Annotated[
    str | None,
    typer.Option("--json", help="Write the result as JSON to this file; - for standard output."),
]
Seed = Annotated[int, typer.Option(help="The same seed gives the same result.")]
Objective = Annotated[Literal["ranking", "rating"], typer.Option(help="What to learn.")]
Scenario = Annotated[
    Literal["user", "item", "session", "cross-domain"],
    typer.Option(
        help="What is new: a user, an item, a session, or a user of other domains in the target domain."
    ),
]
Gap = Annotated[
    str | None,
    typer.Option(help="Sessions: a user's session is over after so long without an event, as 30m."),
]
SourceDomains = Annotated[
    str | None,
    typer.Option(
        "--source", help="Cross-domain: known domains, separated by commas; else all others."
    ),
]
Target = Annotated[str | None, typer.Option(help="Cross-domain: the domain in which to recommend.")]
Model = Annotated[Path, typer.Argument(help="Folder of a fitted model.", show_default=False)]
HistoryOf = Annotated[
    str,
    typer.Option("--history", help="Known events, oldest first: ITEM or ITEM:VALUE, and commas."),
]
ProfileOf = Annotated[
    str | None, typer.Option("--profile", help="What is known of the user: country=FR,age=25.")
]
Store = Annotated[
    str,
    typer.Option(
        help="sqlite:///FILE or postgresql://USER@HOST/DATABASE.", envvar="WARMSTART_STORE"
    ),
]
Language = Annotated[Literal["en", "zh"], typer.Option(help="Of the reasons.")]
Settings = Annotated[
    list[str] | None, typer.Option("--set", help="A setting of the learner: key=value. Repeatable.")
]


def read_data(
    data: Path, items: Path | None, users: Path | None, columns: str | None
) -> Interactions:
    """The log, with the guess about its columns printed where people look for it."""
    seen = inspect(data, items=items, users=users, columns=parse_pairs(columns, "--columns"))
    guess = ", ".join(
        f"{'user' if role == 'user' else role}={column}" for role, column in seen.columns.items()
    )
    log = seen.log
    ERRORS.print(
        f"{log.name}: {len(log):,} events, {len(log.users):,} users, {len(log.items):,} items; "
        f"columns {guess} (change with --columns)",
        soft_wrap=True,
        markup=False,
    )
    for finding in seen.findings:
        ERRORS.print(
            Text(
                f"{finding.level}: {finding.message}",
                "yellow" if finding.level == "warning" else "dim",
            )
        )
    return log


def show_result(rendered: RenderableType, facts: Mapping[str, Any], target: str | None) -> None:
    """For people on standard output; as JSON to a file or, with "-", instead."""
    text = json_module.dumps(facts, indent=2, allow_nan=False, default=str)
    if target == "-":
        print(text)
        return
    Console(highlight=False).print(rendered)
    if target is not None:
        Path(target).write_text(text + "\n", encoding="utf-8")
