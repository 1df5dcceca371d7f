"""Operations: the verbs of the command line for people who run the service."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from warmstart.cli.options import (
    ERRORS,
    Columns,
    Data,
    Items,
    Json,
    Seed,
    Store,
    Users,
    read_data,
    show_result,
)
from warmstart.durations import seconds


def import_data(
    data: Data,
    store: Store,
    items: Items = None,
    users: Users = None,
    columns: Columns = None,
    kind: Annotated[str, typer.Option("--type", help="The type that all events get.")] = "event",
    json: Json = None,
) -> None:
    """Bring events, items and users into the store of a service."""
    from warmstart.service.store.exchange import (
        imported,
    )  # the database's driver takes a while to import
    from warmstart.service.store.store import opened

    log = read_data(data, items, users, columns)
    with opened(store) as found:
        counts = imported(found, log, kind)
    show_result(
        Text(f"stored {counts['interactions']:,} events of {counts['users']:,} users"), counts, json
    )


def export_data(
    out: Annotated[
        Path, typer.Argument(help="A new folder for Parquet files.", show_default=False)
    ],
    store: Store,
    json: Json = None,
) -> None:
    """Write all events, items and users of a store to Parquet files, which `import` and `fit`
    take.
    """
    from warmstart.service.store.exchange import exported
    from warmstart.service.store.store import opened

    with opened(store) as found:
        counts = exported(found, out)
    show_result(
        Text(f"wrote {counts['interactions']:,} events, {counts['items']:,} items to {out}"),
        counts,
        json,
    )


def serve(
    model: Annotated[
        Path, typer.Argument(help="Folder of a model, or of versions of it.", show_default=False)
    ],
    store: Annotated[
        str | None,
        typer.Option(
            help="Where events are kept: sqlite:///FILE or postgresql://USER@HOST/DATABASE."
        ),
    ] = None,
    host: Annotated[
        str | None, typer.Option(help="Address; keys are needed for any but this machine's own.")
    ] = None,
    port: Annotated[int | None, typer.Option(help="Port.")] = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes; with PostgreSQL they share all events.")
    ] = None,
    refit: Annotated[
        str | None,
        typer.Option(help="How often a new version is fitted to the store, as 24h; else never."),
    ] = None,
    refit_budget: Annotated[str | None, typer.Option(help="Time for each refit: 60s, 10m.")] = None,
) -> None:
    """Serve recommendations over HTTP; the API is documented at /docs."""
    run_service(
        models=model,
        store=store,
        host=host,
        port=port,
        workers=workers,
        refit=refit,
        refit_budget=refit_budget,
    )


def refit(
    models: Annotated[
        Path, typer.Argument(help="Folder of versions of a model.", show_default=False)
    ],
    store: Store,
    learner: Annotated[
        str | None, typer.Option(help="Name of a learner; else that of the version in use.")
    ] = None,
    budget: Annotated[str, typer.Option(help="Time for fitting: 60s, 10m.")] = "10m",
    every: Annotated[
        str | None, typer.Option(help="Again and again after so long, as 24h.")
    ] = None,
    seed: Seed = 0,
    json: Json = None,
) -> None:
    """Fit a new version to what a service has stored; it is promoted if it is no worse on
    validation.
    """
    from warmstart.cli.terminal import TrainingProgress
    from warmstart.service.models import refit as refitting  # which imports torch
    from warmstart.service.ops.logging import log_as_json

    if (wait := seconds(every, "--every")) is not None:
        log_as_json()
        refitting.refit_every(wait, models, store, learner=learner, budget=budget, seed=seed)
        return
    with TrainingProgress(ERRORS) as training:
        found = refitting.refit(
            models, store, learner=learner, budget=budget, seed=seed, progress=training.on_step
        )
    became = "promoted" if found.promoted else "kept, and not promoted"
    told = f"version {found.version} {became}: {found.new:.4f} on validation, the one in use {found.current:.4f}"
    show_result(Text(told), vars(found), json)


def doctor(
    model: Annotated[Path, typer.Argument(help="Folder of a model, or of versions of it.")] = Path(
        "model"
    ),
    store: Store = "sqlite:///warmstart.db",
    json: Json = None,
) -> None:
    """Look at all that a service needs: versions, disk, store, model and its latency."""
    from warmstart.service.ops.doctor import checks  # which imports torch

    found = checks(model, store)
    table = Table(box=None, show_header=False, pad_edge=False)
    for check in found:
        table.add_row(
            "[green]ok[/]" if check.ok else "[red]not ok[/]", check.name, escape(check.detail)
        )
    show_result(
        table, {check.name: {"ok": check.ok, "detail": check.detail} for check in found}, json
    )
    if not all(check.ok for check in found):
        raise typer.Exit(1)


def run_service(**options: Any) -> None:
    """Serve until told to stop."""
    from warmstart.service.server import checked
    from warmstart.service.server import serve as run

    settings = checked(**options)
    ERRORS.print(
        f"dashboard at http://{settings.host}:{settings.port}/, API at /docs; stop with Ctrl-C",
        soft_wrap=True,
    )
    run(settings)
