"""The command line: `warmstart up`, `data check`, `fit`, `evaluate`, `recommend`, `explain`, `serve` and more."""

import json as json_module
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.console import Console, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

import warmstart as ws
from warmstart.arguments import history as parse_history
from warmstart.arguments import pairs, scenario_options, words
from warmstart.arguments import settings as parse_settings
from warmstart.arguments import shares as parse_shares
from warmstart.arguments import shots as parse_shots
from warmstart.errors import Misuse, WarmstartError
from warmstart.reading import inspect
from warmstart.terminal import Training, answered, fitted, welcome
from warmstart.told import explanation_told, insight_told

app = typer.Typer(
    help="Recommendations that are good from the first click.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)
data_app = typer.Typer(help="Look at data before learning from it.", no_args_is_help=True)
app.add_typer(data_app, name="data")

ERRORS = Console(stderr=True, highlight=False)
USER_MISTAKE, INTERRUPTED = 2, 130

Data = Annotated[Path, typer.Argument(help="A file or folder: CSV, TSV, Parquet or JSONL.", show_default=False)]
Columns = Annotated[str | None, typer.Option(help="Columns, where the guess is wrong: user=customer,item=sku.")]
Items = Annotated[Path | None, typer.Option(help="Table of items, if not beside the interactions.")]
Users = Annotated[Path | None, typer.Option(help="Table of users, if not beside the interactions.")]
Json = Annotated[
    str | None, typer.Option("--json", help="Write the result as JSON to this file; - for standard output.")
]
Seed = Annotated[int, typer.Option(help="The same seed gives the same result.")]
Objective = Annotated[Literal["ranking", "rating"], typer.Option(help="What to learn.")]
Scenario = Annotated[
    Literal["user", "item", "session", "cross-domain"],
    typer.Option(help="What is new: a user, an item, a session, or a user of other domains in the target domain."),
]
Gap = Annotated[
    str | None, typer.Option(help="Sessions: a user's session is over after so long without an event, as 30m.")
]
SourceDomains = Annotated[
    str | None, typer.Option("--source", help="Cross-domain: known domains, separated by commas; else all others.")
]
Target = Annotated[str | None, typer.Option(help="Cross-domain: the domain in which to recommend.")]
Model = Annotated[Path, typer.Argument(help="Folder of a fitted model.", show_default=False)]
HistoryOf = Annotated[
    str, typer.Option("--history", help="Known events, oldest first: ITEM or ITEM:VALUE, and commas.")
]
ProfileOf = Annotated[str | None, typer.Option("--profile", help="What is known of the user: country=FR,age=25.")]
Store = Annotated[
    str, typer.Option(help="sqlite:///FILE or postgresql://USER@HOST/DATABASE.", envvar="WARMSTART_STORE")
]
Language = Annotated[Literal["en", "zh"], typer.Option(help="Of the reasons.")]
Settings = Annotated[list[str] | None, typer.Option("--set", help="A setting of the learner: key=value. Repeatable.")]


def main() -> None:
    """Run the command line; a user's mistake is one line on standard error and exit code 2."""
    try:
        code = app(standalone_mode=False)
    except WarmstartError as error:
        code = _refuse(str(error))
    except typer.TyperException as error:
        code = _refuse(error.format_message() if hasattr(error, "format_message") else str(error))
    if code == INTERRUPTED:
        _refuse("stopped", INTERRUPTED)
    sys.exit(code)


@data_app.command("check")
def data_check(
    data: Data, items: Items = None, users: Users = None, columns: Columns = None, json: Json = None
) -> None:
    """Say what each column was taken for, what is odd, and what to do about it."""
    report = ws.check(data, items=items, users=users, columns=pairs(columns, "--columns"))
    _show(report, report.to_dict(), json)


@app.command()
def fit(
    data: Annotated[
        Path | None, typer.Argument(help="A file or folder: CSV, TSV, Parquet or JSONL.", show_default=False)
    ] = None,
    *,
    out: Annotated[Path, typer.Option(help="Folder for the model.", show_default=False)],
    learner: Annotated[str, typer.Option(help="Name of a learner, or auto for a race among them.")] = "auto",
    items: Items = None,
    users: Users = None,
    columns: Columns = None,
    scenario: Scenario = "user",
    session_gap: Gap = None,
    source: SourceDomains = None,
    target: Target = None,
    objective: Objective = "ranking",
    budget: Annotated[str, typer.Option(help="Time for fitting: 60s, 10m.")] = "10m",
    store: Annotated[str | None, typer.Option(help="Learn from what a service has stored, instead of DATA.")] = None,
    seed: Seed = 0,
    set_: Settings = None,
    json: Json = None,
) -> None:
    """Fit a model and save it; a run that was killed goes on where it was when started again."""
    settings = parse_settings(set_)
    log = _data_or_store(data, store, items, users, columns)
    checkpoint = out.with_name(out.name + ".checkpoint")
    with Training(ERRORS) as training:
        model = ws.fit(
            log,
            learner=learner,
            scenario=scenario,
            options=scenario_options(session_gap, source, target),
            objective=objective,
            budget=budget,
            seed=seed,
            settings=settings,
            checkpoint=checkpoint,
            progress=training.step,
        )
    model.save(out)
    for file in out.parent.glob(checkpoint.name + "*"):
        file.unlink()
    facts = {"model": str(out), "learner": model.learner, "settings": dict(model.settings), **model.facts}
    _show(fitted(model, out), facts, json)


@app.command()
def evaluate(
    data: Data,
    learners: Annotated[
        str, typer.Option(help="Names, or auto, separated by commas; the classics are always added.")
    ] = "blend",
    items: Items = None,
    users: Users = None,
    columns: Columns = None,
    scenario: Scenario = "user",
    session_gap: Gap = None,
    source: SourceDomains = None,
    target: Target = None,
    objective: Objective = "ranking",
    shots: Annotated[str, typer.Option(help="Numbers of known events.")] = "0,1,2,3,5,10,20",
    budget: Annotated[str | None, typer.Option(help="Time for each learner: 60s, 10m.")] = None,
    seed: Seed = 0,
    set_: Settings = None,
    train_share: Annotated[
        str, typer.Option(help="Share of the training users to learn from; several make a learning curve: 0.1,0.3,1.")
    ] = "1",
    json: Json = None,
    html: Annotated[Path | None, typer.Option(help="Write a page with the curves to this file.")] = None,
) -> None:
    """Compare learners on users that none has seen, by the number of known events."""
    options: dict[str, Any] = {
        "scenario": scenario,
        "options": scenario_options(session_gap, source, target),
        "objective": objective,
        "shots": parse_shots(shots),
        "seed": seed,
        "budget": budget,
        "settings": parse_settings(set_),
    }
    parts = parse_shares(train_share)
    names = words(learners)
    log = _read(data, items, users, columns)
    with Training(ERRORS) as training:
        options["watcher"] = training.watcher
        report = (
            ws.evaluate(log, names, train_share=parts[0], **options)
            if len(parts) == 1
            else ws.learning_curve(log, names, parts, **options)
        )
    if html is not None:
        report.to_html(html)
    _show(report, report.to_dict(), json)


@app.command()
def recommend(
    model: Model,
    history: HistoryOf = "",
    profile: ProfileOf = None,
    n: Annotated[int, typer.Option("-n", help="How many items.")] = 10,
    exclude: Annotated[str, typer.Option(help="Items not to recommend, separated by commas.")] = "",
    explain: Annotated[bool, typer.Option("--explain", help="Say why each item is recommended.")] = False,
    language: Language = "en",
    json: Json = None,
) -> None:
    """Recommend items for a history; without one, for a user of whom nothing is known."""
    recommender = ws.load(model)
    answer = recommender.recommend(
        parse_history(history, recommender.items, recommender.usual_value),
        n,
        profile=pairs(profile, "--profile"),
        exclude=words(exclude),
        explain=explain,
    )
    for warning in answer.warnings:
        ERRORS.print(f"warning: {warning}", style="yellow", soft_wrap=True)
    _show(answered(answer, language), answer.to_dict(language), json)


@app.command("explain")
def explain_item(
    model: Model,
    history: HistoryOf = "",
    item: Annotated[str | None, typer.Option(help="The item; without, what the model learned is shown.")] = None,
    profile: ProfileOf = None,
    n: Annotated[int, typer.Option("-n", help="Length of the list that an item is in, or not.")] = 10,
    language: Language = "en",
    json: Json = None,
) -> None:
    """Say why an item stands where it does for a history, and what would change it."""
    recommender = ws.load(model)
    known = parse_history(history, recommender.items, recommender.usual_value)
    if item is None:
        insight = recommender.insight(known, profile=pairs(profile, "--profile"), n=n)
        _show(insight_told(insight), insight.to_dict(), json)
        return
    found = recommender.explain(known, item, profile=pairs(profile, "--profile"), n=n)
    _show(explanation_told(found, language), found.to_dict(language), json)


@app.command("import")
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
    from warmstart.service.exchange import imported
    from warmstart.service.store import opened

    log = _read(data, items, users, columns)
    with opened(store) as found:
        counts = imported(found, log, kind)
    _show(Text(f"stored {counts['interactions']:,} events of {counts['users']:,} users"), counts, json)


@app.command("export")
def export_data(
    out: Annotated[Path, typer.Argument(help="A new folder for Parquet files.", show_default=False)],
    store: Store,
    json: Json = None,
) -> None:
    """Write all events, items and users of a store to Parquet files, which `import` and `fit` take."""
    from warmstart.service.exchange import exported
    from warmstart.service.store import opened

    with opened(store) as found:
        counts = exported(found, out)
    _show(Text(f"wrote {counts['interactions']:,} events, {counts['items']:,} items to {out}"), counts, json)


@app.command()
def serve(
    model: Annotated[Path, typer.Argument(help="Folder of a model, or of versions of it.", show_default=False)],
    store: Annotated[
        str | None, typer.Option(help="Where events are kept: sqlite:///FILE or postgresql://USER@HOST/DATABASE.")
    ] = None,
    host: Annotated[str | None, typer.Option(help="Address; keys are needed for any but this machine's own.")] = None,
    port: Annotated[int | None, typer.Option(help="Port.")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes; with PostgreSQL they share all events.")] = None,
) -> None:
    """Serve recommendations over HTTP; the API is documented at /docs."""
    _serve(models=model, store=store, host=host, port=port, workers=workers)


@app.command()
def doctor(
    model: Annotated[Path, typer.Argument(help="Folder of a model, or of versions of it.")] = Path("model"),
    store: Store = "sqlite:///warmstart.db",
    json: Json = None,
) -> None:
    """Look at all that a service needs: versions, disk, store, model and its latency."""
    from warmstart.service.doctor import checks

    found = checks(model, store)
    table = Table(box=None, show_header=False, pad_edge=False)
    for check in found:
        table.add_row("[green]ok[/]" if check.ok else "[red]not ok[/]", check.name, escape(check.detail))
    _show(table, {check.name: {"ok": check.ok, "detail": check.detail} for check in found}, json)
    if not all(check.ok for check in found):
        raise typer.Exit(1)


@app.command()
def up(
    data: Annotated[Path | None, typer.Argument(help="Your data; without, a made-up shop.", show_default=False)] = None,
    no_serve: Annotated[bool, typer.Option("--no-serve", help="Stop after the recommendation.")] = False,
    items: Items = None,
    users: Users = None,
    columns: Columns = None,
    budget: Annotated[str, typer.Option(help="Time for each race: one to be judged, one for use.")] = "60s",
    out: Annotated[Path, typer.Option(help="Folder for the model.")] = Path("model"),
    port: Annotated[int | None, typer.Option(help="Port to serve on.")] = None,
    seed: Seed = 0,
    json: Json = None,
) -> None:
    """Check data, race learners, fit the best by number of known events, recommend with reasons, and serve."""
    log = _shop_or(data, items, users, columns)
    with Training(ERRORS) as training:
        report = ws.evaluate(log, ["auto"], seed=seed, budget=budget, watcher=training.watcher)
        training.say("once more for use, on all users")
        model = ws.fit(log, seed=seed, budget=budget, progress=training.step)
    model.save(out)
    history = log.items.decode(log.item[log.owner == log.owner[-1]][:3])
    answer = model.recommend(history, 5, explain=True)
    facts = {"report": report.to_dict(), "model": str(out), "history": history, "answer": answer.to_dict()}
    _show(welcome(report, model, out, history, answer), facts, json)
    if not no_serve:
        _serve(models=out, port=port)


def _serve(**options: Any) -> None:
    from warmstart.service.serve import serve  # a second to import, which only who serves should wait for

    serve(**options)


def _read(data: Path, items: Path | None, users: Path | None, columns: str | None) -> ws.Interactions:
    """The log, with the guess about its columns printed where people look for it."""
    seen = inspect(data, items=items, users=users, columns=pairs(columns, "--columns"))
    guess = ", ".join(f"{'user' if role == 'owner' else role}={column}" for role, column in seen.columns.items())
    log = seen.log
    ERRORS.print(
        f"{log.name}: {len(log):,} events, {len(log.owners):,} users, {len(log.items):,} items; "
        f"columns {guess} (change with --columns)",
        soft_wrap=True,
        markup=False,
    )
    for finding in seen.findings:
        ERRORS.print(Text(f"{finding.level}: {finding.message}", "yellow" if finding.level == "warning" else "dim"))
    return log


def _data_or_store(
    data: Path | None, store: str | None, items: Path | None, users: Path | None, columns: str | None
) -> ws.Interactions:
    if (data is None) == (store is None):
        raise Misuse("name data to learn from, or a store with --store, and not both")
    if data is not None:
        return _read(data, items, users, columns)
    from warmstart.service.exchange import stored
    from warmstart.service.store import opened

    with opened(str(store)) as found:
        return stored(found, pairs(columns, "--columns"))


def _shop_or(data: Path | None, items: Path | None, users: Path | None, columns: str | None) -> ws.Interactions:
    if data is not None:
        return _read(data, items, users, columns)
    ERRORS.print("No data given, so this is a made-up shop: warmstart up DATA uses yours.", soft_wrap=True)
    return ws.shop()


def _show(rendered: RenderableType, facts: Mapping[str, Any], target: str | None) -> None:
    """For people on standard output; as JSON to a file or, with "-", instead."""
    text = json_module.dumps(facts, indent=2, allow_nan=False, default=str)
    if target == "-":
        print(text)
        return
    Console(highlight=False).print(rendered)
    if target is not None:
        Path(target).write_text(text + "\n", encoding="utf-8")


def _refuse(message: str, code: int = USER_MISTAKE) -> int:
    ERRORS.print(f"error: {message}", style="red", soft_wrap=True, markup=False)
    return code


if __name__ == "__main__":
    main()
