"""The commands that ask a fitted model: recommend and explain."""

from typing import Annotated

import typer

import warmstart as ws
from warmstart.cli.arguments import parse_history, parse_pairs, split_list
from warmstart.cli.options import ERRORS, HistoryOf, Json, Language, Model, ProfileOf, show_result


def recommend(
    model: Model,
    history: HistoryOf = "",
    profile: ProfileOf = None,
    n: Annotated[int, typer.Option("-n", help="Number of items.")] = 10,
    exclude: Annotated[str, typer.Option(help="Items not to recommend, separated by commas.")] = "",
    with_reasons: Annotated[
        bool, typer.Option("--explain", help="Say why each item is recommended.")
    ] = False,
    language: Language = "en",
    json: Json = None,
) -> None:
    """Recommend items to a user with a history; without one, to a new user."""
    from warmstart.cli.tables import recommendation_table

    recommender = ws.load(model)
    answer = recommender.recommend(
        parse_history(history, recommender.items, recommender.default_value),
        n,
        profile=parse_pairs(profile, "--profile"),
        exclude=split_list(exclude),
        explain=with_reasons,
    )
    for warning in answer.warnings:
        ERRORS.print(f"warning: {warning}", style="yellow", soft_wrap=True)
    show_result(recommendation_table(answer, language), answer.to_dict(language), json)


def explain(
    model: Model,
    history: HistoryOf = "",
    item: Annotated[
        str | None, typer.Option(help="The item; else what the model learned is shown.")
    ] = None,
    profile: ProfileOf = None,
    n: Annotated[int, typer.Option("-n", help="Length of the list of recommendations.")] = 10,
    language: Language = "en",
    json: Json = None,
) -> None:
    """Say why an item has its rank for a user with a history, and what would change it."""
    from warmstart.cli.tables import explanation_table, insight_table

    recommender = ws.load(model)
    events = parse_history(history, recommender.items, recommender.default_value)
    columns = parse_pairs(profile, "--profile")
    if item is None:
        insight = recommender.insight(events, profile=columns, n=n)
        show_result(insight_table(insight), insight.to_dict(), json)
        return
    explanation = recommender.explain(events, item, profile=columns, n=n)
    show_result(explanation_table(explanation, language), explanation.to_dict(language), json)
