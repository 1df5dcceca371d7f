"""The command line: `warmstart up`, `data check`, `fit`, `evaluate`, `recommend`, `explain`,
`serve` and more.
"""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

import warmstart as ws
from warmstart.cli import service_commands as operations
from warmstart.cli.arguments import parse_history as parse_history
from warmstart.cli.arguments import parse_pairs, parse_scenario_options, split_list
from warmstart.cli.arguments import parse_settings as parse_settings
from warmstart.cli.arguments import parse_shares as parse_shares
from warmstart.cli.arguments import parse_shots as parse_shots
from warmstart.cli.explanation_tables import explanation_table, insight_table, recommendation_table
from warmstart.cli.options import (
    ERRORS,
    Columns,
    Data,
    Gap,
    HistoryOf,
    Items,
    Json,
    Language,
    Model,
    Objective,
    ProfileOf,
    Scenario,
    Seed,
    Settings,
    SourceDomains,
    Target,
    Users,
    read_data,
    show_result,
)
from warmstart.errors import Misuse, WarmstartError

app = typer.Typer(
    help="Recommendations that are good from the first click.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)
data_app = typer.Typer(help="Look at data before learning from it.", no_args_is_help=True)
app.add_typer(data_app, name="data")

USER_MISTAKE, INTERRUPTED = 2, 130


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
    report = ws.check(data, items=items, users=users, columns=parse_pairs(columns, "--columns"))
    show_result(report, report.to_dict(), json)


@app.command()
def fit(
    data: Annotated[
        Path | None,
        typer.Argument(help="A file or folder: CSV, TSV, Parquet or JSONL.", show_default=False),
    ] = None,
    *,
    out: Annotated[Path, typer.Option(help="Folder for the model.", show_default=False)],
    learner: Annotated[
        str, typer.Option(help="Name of a learner, or auto for a race among them.")
    ] = "auto",
    items: Items = None,
    users: Users = None,
    columns: Columns = None,
    scenario: Scenario = "user",
    session_gap: Gap = None,
    source: SourceDomains = None,
    target: Target = None,
    objective: Objective = "ranking",
    budget: Annotated[str, typer.Option(help="Time for fitting: 60s, 10m.")] = "10m",
    store: Annotated[
        str | None, typer.Option(help="Learn from what a service has stored, instead of DATA.")
    ] = None,
    compare: Annotated[
        bool,
        typer.Option(
            "--compare",
            help="First compare it with the classics, as evaluate does; the model keeps that.",
        ),
    ] = False,
    seed: Seed = 0,
    set_: Settings = None,
    json: Json = None,
) -> None:
    """Fit a model and save it; a run that was killed goes on where it was when started again."""
    from warmstart.cli.terminal import TrainingProgress, fit_summary  # which imports torch

    settings = parse_settings(set_)
    log = _data_or_store(data, store, items, users, columns)
    checkpoint = out.with_name(out.name + ".checkpoint")
    out.parent.mkdir(parents=True, exist_ok=True)
    order: dict[str, Any] = {
        "scenario": scenario,
        "options": parse_scenario_options(session_gap, source, target),
        "objective": objective,
        "budget": budget,
        "seed": seed,
        "settings": settings,
    }
    with TrainingProgress(ERRORS) as training:
        report = (
            ws.evaluate(log, [learner], callbacks=training.callbacks, **order) if compare else None
        )
        model = ws.fit(
            log,
            learner=learner,
            checkpoint=checkpoint,
            progress=training.on_step,
            **order,
        )
    if report is not None:
        model = model.with_report(report.to_dict())
    model.save(out)
    for file in out.parent.glob(checkpoint.name + "*"):
        file.unlink()
    facts = {
        "model": str(out),
        "learner": model.learner,
        "settings": dict(model.settings),
        **model.facts,
    }
    show_result(fit_summary(model, out), facts, json)


@app.command()
def evaluate(
    data: Data,
    learners: Annotated[
        str,
        typer.Option(help="Names, or auto, separated by commas; the classics are always added."),
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
        str,
        typer.Option(
            help="Share of the training users to learn from; several make a learning curve: 0.1,0.3,1."
        ),
    ] = "1",
    json: Json = None,
    html: Annotated[
        Path | None, typer.Option(help="Write a page with the curves to this file.")
    ] = None,
) -> None:
    """Compare learners on users that none has seen, by the number of known events."""
    from warmstart.cli.terminal import TrainingProgress  # which imports torch

    options: dict[str, Any] = {
        "scenario": scenario,
        "options": parse_scenario_options(session_gap, source, target),
        "objective": objective,
        "shots": parse_shots(shots),
        "seed": seed,
        "budget": budget,
        "settings": parse_settings(set_),
    }
    parts = parse_shares(train_share)
    names = split_list(learners)
    log = read_data(data, items, users, columns)
    with TrainingProgress(ERRORS) as training:
        options["watcher"] = training.callbacks
        report = (
            ws.evaluate(log, names, train_share=parts[0], **options)
            if len(parts) == 1
            else ws.learning_curve(log, names, parts, **options)
        )
    if html is not None:
        report.to_html(html)
    show_result(report, report.to_dict(), json)


@app.command()
def recommend(
    model: Model,
    history: HistoryOf = "",
    profile: ProfileOf = None,
    n: Annotated[int, typer.Option("-n", help="How many items.")] = 10,
    exclude: Annotated[str, typer.Option(help="Items not to recommend, separated by commas.")] = "",
    explain: Annotated[
        bool, typer.Option("--explain", help="Say why each item is recommended.")
    ] = False,
    language: Language = "en",
    json: Json = None,
) -> None:
    """Recommend items for a history; without one, for a user of whom nothing is known."""
    recommender = ws.load(model)
    answer = recommender.recommend(
        parse_history(history, recommender.items, recommender.usual_value),
        n,
        profile=parse_pairs(profile, "--profile"),
        exclude=split_list(exclude),
        explain=explain,
    )
    for warning in answer.warnings:
        ERRORS.print(f"warning: {warning}", style="yellow", soft_wrap=True)
    show_result(recommendation_table(answer, language), answer.to_dict(language), json)


@app.command("explain")
def explain_item(
    model: Model,
    history: HistoryOf = "",
    item: Annotated[
        str | None, typer.Option(help="The item; without, what the model learned is shown.")
    ] = None,
    profile: ProfileOf = None,
    n: Annotated[
        int, typer.Option("-n", help="Length of the list that an item is in, or not.")
    ] = 10,
    language: Language = "en",
    json: Json = None,
) -> None:
    """Say why an item stands where it does for a history, and what would change it."""
    recommender = ws.load(model)
    known = parse_history(history, recommender.items, recommender.usual_value)
    if item is None:
        insight = recommender.insight(known, profile=parse_pairs(profile, "--profile"), n=n)
        show_result(insight_table(insight), insight.to_dict(), json)
        return
    found = recommender.explain(known, item, profile=parse_pairs(profile, "--profile"), n=n)
    show_result(explanation_table(found, language), found.to_dict(language), json)


@app.command()
def up(
    data: Annotated[
        Path | None, typer.Argument(help="Your data; without, a made-up shop.", show_default=False)
    ] = None,
    no_serve: Annotated[
        bool, typer.Option("--no-serve", help="Stop after the recommendation.")
    ] = False,
    items: Items = None,
    users: Users = None,
    columns: Columns = None,
    budget: Annotated[
        str, typer.Option(help="Time for each race: one to be judged, one for use.")
    ] = "60s",
    out: Annotated[Path, typer.Option(help="Folder for the model.")] = Path("model"),
    port: Annotated[int | None, typer.Option(help="Port to serve on.")] = None,
    seed: Seed = 0,
    json: Json = None,
) -> None:
    """Check data, race learners, fit the best by number of known events, recommend with reasons,
    and serve.
    """
    from warmstart.cli.terminal import TrainingProgress, up_summary  # which imports torch

    log = _shop_or(data, items, users, columns)
    with TrainingProgress(ERRORS) as training:
        report = ws.evaluate(log, ["auto"], seed=seed, budget=budget, callbacks=training.callbacks)
        training.print_line("once more for use, on all users")
        model = ws.fit(log, seed=seed, budget=budget, progress=training.on_step).with_report(
            report.to_dict()
        )
    model.save(out)
    history = log.items.decode(log.item[log.user == log.user[-1]][:3])
    answer = model.recommend(history, 5, explain=True)
    facts = {
        "report": report.to_dict(),
        "model": str(out),
        "history": history,
        "answer": answer.to_dict(),
    }
    show_result(up_summary(report, model, out, history, answer), facts, json)
    if not no_serve:
        operations.run_service(models=out, port=port)


def _data_or_store(
    data: Path | None,
    store: str | None,
    items: Path | None,
    users: Path | None,
    columns: str | None,
) -> ws.Interactions:
    if (data is None) == (store is None):
        raise Misuse("name data to learn from, or a store with --store, and not both")
    if data is not None:
        return read_data(data, items, users, columns)
    from warmstart.service.store.exchange import stored
    from warmstart.service.store.store import opened

    with opened(str(store)) as found:
        return stored(found, parse_pairs(columns, "--columns"))


def _shop_or(
    data: Path | None, items: Path | None, users: Path | None, columns: str | None
) -> ws.Interactions:
    if data is not None:
        return read_data(data, items, users, columns)
    ERRORS.print(
        "No data given, so this is a made-up shop: warmstart up DATA uses yours.", soft_wrap=True
    )
    return ws.shop()


def _refuse(message: str, code: int = USER_MISTAKE) -> int:
    ERRORS.print(f"error: {message}", style="red", soft_wrap=True, markup=False)
    return code


app.command("import")(operations.import_data)
app.command("export")(operations.export_data)
app.command()(operations.serve)
app.command()(operations.refit)
app.command()(operations.doctor)


if __name__ == "__main__":
    main()
