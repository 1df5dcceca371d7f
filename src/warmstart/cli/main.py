"""The command line: `warmstart up`, `data check`, `fit`, `evaluate`, `recommend`, `serve` ..."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

import warmstart as ws
from warmstart.cli import model_commands, service_commands
from warmstart.cli.arguments import parse_pairs, parse_shares, parse_shots, split_list
from warmstart.cli.options import (
    ERRORS,
    Budget,
    BudgetOfEach,
    Data,
    DataOptions,
    FromStore,
    Html,
    Json,
    LearnerName,
    LearnerNames,
    NewModel,
    OptionalData,
    Seed,
    Shots,
    TaskOptions,
    TrainShares,
    WithReport,
    option_groups,
    read_data,
    show_result,
)
from warmstart.errors import UsageError, WarmstartError

# The modules that import torch are imported within the commands: help and mistakes come at once.

app = typer.Typer(
    help="Recommendations that are good from the first click.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)
data_app = typer.Typer(help="Look at data before a model is fitted to it.", no_args_is_help=True)
app.add_typer(data_app, name="data")

USER_MISTAKE, INTERRUPTED = 2, 130  # exit codes


def main() -> None:
    """Run the command line; a user's mistake is one line on standard error and exit code 2."""
    sys.path.append(os.getcwd())  # where module:Class is looked for last, as by python -m
    try:
        code = app(standalone_mode=False)
    except WarmstartError as error:
        code = _print_error(str(error))
    except typer.TyperException as error:
        known = hasattr(error, "format_message")
        code = _print_error(error.format_message() if known else str(error))
    if code == INTERRUPTED:
        _print_error("stopped", INTERRUPTED)
    sys.exit(code)


@data_app.command("check")
@option_groups
def data_check(data: Data, tables: DataOptions, json: Json = None) -> None:
    """Say what each column was taken for, what looks wrong, and what to do about it."""
    columns = parse_pairs(tables.columns, "--columns")
    report = ws.check(data, items=tables.items, users=tables.users, columns=columns)
    show_result(report, report.to_dict(), json)


@app.command()
@option_groups
def fit(
    data: OptionalData = None,
    *,
    out: NewModel,
    learner: LearnerName = "auto",
    tables: DataOptions,
    task: TaskOptions,
    budget: Budget = "10m",
    store: FromStore = None,
    compare: WithReport = False,
    json: Json = None,
) -> None:
    """Fit a model and save it; after an interruption the same command continues the training."""
    from warmstart.cli.progress import TrainingProgress
    from warmstart.cli.tables import fit_summary

    keywords = {**task.keywords(), "budget": budget}
    log = _data_or_store(data, store, tables)
    checkpoint = out.with_name(out.name + ".checkpoint")
    out.parent.mkdir(parents=True, exist_ok=True)
    with TrainingProgress(ERRORS) as bar:
        report = (
            ws.evaluate(log, [learner], callbacks=bar.callbacks, **keywords) if compare else None
        )
        model = ws.fit(
            log, learner=learner, checkpoint=checkpoint, progress=bar.on_step, **keywords
        )
    if report is not None:
        model = model.with_report(report.to_dict())
    model.save(out)
    for file in out.parent.glob(checkpoint.name + "*"):
        file.unlink()
    facts = {"model": str(out), "learner": model.learner, "settings": dict(model.settings)}
    show_result(fit_summary(model, out), {**facts, **model.facts}, json)


@app.command()
@option_groups
def evaluate(
    data: Data,
    *,
    learners: LearnerNames = "blend",
    tables: DataOptions,
    task: TaskOptions,
    shots: Shots = "0,1,2,3,5,10,20",
    budget: BudgetOfEach = None,
    train_share: TrainShares = "1",
    json: Json = None,
    html: Html = None,
) -> None:
    """Compare learners with baselines on new users, by number of known events."""
    from warmstart.cli.progress import TrainingProgress

    keywords = {**task.keywords(), "shots": parse_shots(shots), "budget": budget}
    shares, names = parse_shares(train_share), split_list(learners)
    log = read_data(data, tables)
    with TrainingProgress(ERRORS) as bar:
        keywords["callbacks"] = bar.callbacks
        report = (
            ws.evaluate(log, names, train_share=shares[0], **keywords)
            if len(shares) == 1
            else ws.learning_curve(log, names, shares, **keywords)
        )
    if html is not None:
        report.to_html(html)
    show_result(report, report.to_dict(), json)


@app.command()
@option_groups
def up(
    tables: DataOptions,
    data: Annotated[
        Path | None, typer.Argument(help="Your data; else a generated shop.", show_default=False)
    ] = None,
    no_serve: Annotated[
        bool, typer.Option("--no-serve", help="Stop after the recommendations.")
    ] = False,
    budget: Annotated[
        str, typer.Option(help="Time limit of the comparison, and again of the final fit.")
    ] = "60s",
    out: Annotated[Path, typer.Option(help="Folder for the model.")] = Path("model"),
    port: Annotated[int | None, typer.Option(help="Port of the service.")] = None,
    seed: Seed = 0,
    json: Json = None,
) -> None:
    """Check data, compare learners, fit the best one, recommend with reasons, and serve."""
    from warmstart.cli.progress import TrainingProgress
    from warmstart.cli.tables import up_summary

    log = _data_or_shop(data, tables)
    with TrainingProgress(ERRORS) as bar:
        report = ws.evaluate(log, ["auto"], seed=seed, budget=budget, callbacks=bar.callbacks)
        bar.print_line("the final fit, on all users")
        model = ws.fit(log, seed=seed, budget=budget, progress=bar.on_step)
    model = model.with_report(report.to_dict())
    model.save(out)
    history = log.items.decode(log.item[log.user == log.user[-1]][:3])
    answer = model.recommend(history, 5, explain=True)
    facts = {"report": report.to_dict(), "model": str(out), "history": history}
    summary = up_summary(report, model, out, history, answer)
    show_result(summary, {**facts, "answer": answer.to_dict()}, json)
    if not no_serve:
        service_commands.run_service(models=out, port=port)


def _data_or_store(data: Path | None, store: str | None, tables: DataOptions) -> ws.Interactions:
    if (data is None) == (store is None):
        raise UsageError("name data to learn from, or a store with --store, and not both")
    if data is not None:
        return read_data(data, tables)
    from warmstart.service.store.exchange import stored_log
    from warmstart.service.store.store import opened_store

    with opened_store(str(store)) as found:
        return stored_log(found, parse_pairs(tables.columns, "--columns"))


def _data_or_shop(data: Path | None, tables: DataOptions) -> ws.Interactions:
    if data is not None:
        return read_data(data, tables)
    ERRORS.print(
        "No data given, so this is a generated shop: warmstart up DATA uses yours.", soft_wrap=True
    )
    return ws.synthetic_shop()


def _print_error(message: str, code: int = USER_MISTAKE) -> int:
    ERRORS.print(f"error: {message}", style="red", soft_wrap=True, markup=False)
    return code


app.command()(model_commands.recommend)
app.command()(model_commands.explain)
app.command("import")(service_commands.import_data)
app.command("export")(service_commands.export_data)
app.command()(service_commands.serve)
app.command()(service_commands.refit)
app.command()(service_commands.doctor)
