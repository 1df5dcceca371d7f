"""The commands for those who run the service: import, export, serve, refit, doctor."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from warmstart.cli.options import (
    ERRORS,
    Data,
    DataOptions,
    Json,
    Seed,
    Store,
    option_groups,
    read_data,
    show_result,
)
from warmstart.durations import parse_duration

# The modules of the service are imported within the commands: drivers and torch take a while.


@option_groups
def import_data(
    data: Data,
    store: Store,
    tables: DataOptions,
    kind: Annotated[str, typer.Option("--type", help="The type that all events get.")] = "event",
    json: Json = None,
) -> None:
    """Write events, items and users from files into the store of a service."""
    from warmstart.service.store.exchange import import_log
    from warmstart.service.store.store import opened_store

    log = read_data(data, tables)
    with opened_store(store) as found:
        counts = import_log(found, log, kind)
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
    """Write all events, items and users of a store to Parquet files, which import and fit read."""
    from warmstart.service.store.exchange import export_store
    from warmstart.service.store.store import opened_store

    with opened_store(store) as found:
        counts = export_store(found, out)
    show_result(
        Text(f"wrote {counts['interactions']:,} events, {counts['items']:,} items to {out}"),
        counts,
        json,
    )


def serve(
    model: Annotated[
        Path, typer.Argument(help="Folder of a model, or of its versions.", show_default=False)
    ],
    store: Annotated[
        str | None,
        typer.Option(
            help="Where events are stored: sqlite:///FILE or postgresql://USER@HOST/DATABASE."
        ),
    ] = None,
    host: Annotated[
        str | None,
        typer.Option(help="Address; other addresses than this machine's own need API keys."),
    ] = None,
    port: Annotated[int | None, typer.Option(help="Port.")] = None,
    workers: Annotated[
        int | None, typer.Option(help="Number of processes; with PostgreSQL all share the events.")
    ] = None,
    refit: Annotated[
        str | None,
        typer.Option(help="Fit a new version to the stored events so often, as 24h; else never."),
    ] = None,
    refit_budget: Annotated[
        str | None, typer.Option(help="Time limit for each refit: 60s, 10m.")
    ] = None,
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
        Path, typer.Argument(help="Folder of the versions of a model.", show_default=False)
    ],
    store: Store,
    learner: Annotated[
        str | None, typer.Option(help="Name of a learner; else that of the active version.")
    ] = None,
    budget: Annotated[str, typer.Option(help="Time limit for fitting: 60s, 10m.")] = "10m",
    every: Annotated[str | None, typer.Option(help="Repeat after so long, as 24h.")] = None,
    seed: Seed = 0,
    json: Json = None,
) -> None:
    """Fit a new version to the stored events; it becomes active if it is no worse on validation."""
    from warmstart.cli.progress import TrainingProgress
    from warmstart.service.models import refit as refitting
    from warmstart.service.ops.logging import log_as_json

    if (wait := parse_duration(every, "--every")) is not None:
        log_as_json()
        refitting.refit_every(wait, models, store, learner=learner, budget=budget, seed=seed)
        return
    with TrainingProgress(ERRORS) as training:
        found = refitting.refit(
            models, store, learner=learner, budget=budget, seed=seed, progress=training.on_step
        )
    became = "is active now" if found.promoted else "was saved, but does not become active"
    scores = f"validation score {found.new:.4f}, that of the active version {found.current:.4f}"
    show_result(Text(f"version {found.version} {became}: {scores}"), vars(found), json)


def doctor(
    model: Annotated[Path, typer.Argument(help="Folder of a model, or of its versions.")] = Path(
        "model"
    ),
    store: Store = "sqlite:///warmstart.db",
    json: Json = None,
) -> None:
    """Check all that a service needs: versions, disk, store, model and its latency."""
    from warmstart.service.ops.doctor import checks

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
    """Serve until the process is stopped."""
    from warmstart.service.server import checked_settings
    from warmstart.service.server import serve as run

    settings = checked_settings(**options)
    ERRORS.print(
        f"dashboard at http://{settings.host}:{settings.port}/, API at /docs; stop with Ctrl-C",
        soft_wrap=True,
    )
    run(settings)
