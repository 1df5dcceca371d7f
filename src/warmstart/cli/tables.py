"""Recommendations, explanations and fitted models as tables and sentences for the terminal."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from warmstart.data.interactions import Id
from warmstart.evaluation.evaluate import HEADLINE, NAMES
from warmstart.experiments.report import Report
from warmstart.experiments.tables import format_metric
from warmstart.explain.explanation import Explanation
from warmstart.explain.insight import Insight, InsightGroup, InsightItem
from warmstart.explain.reasons import Reason
from warmstart.recommend.recommender import Recommender
from warmstart.recommend.response import Answer

BAR_WIDTH = 20  # characters of a bar of 100 %
REASON_WIDTH = 70  # characters of a line of reasons
MAX_COLUMNS = 5  # columns of an item whose contributions are shown
ALONE = {"prior": "before any event is known", "together": "all events in combination"}
"""Reasons that are neither an event nor a column of the profile."""


def recommendation_table(answer: Answer, language: str = "en") -> RenderableType:
    """Recommendations with scores, and with reasons where they were asked for."""
    if not answer.items:
        return Text("nothing is left to recommend: all items are in the history or excluded")
    first = answer.items[0]
    titled, rated = any(found.title for found in answer.items), first.low is not None
    table = Table(box=None, pad_edge=False)
    table.add_column("#", justify="right", style="dim")
    table.add_column("item")
    if titled:
        table.add_column("title")
    table.add_column("rating" if rated else "score", justify="right", style="dim")
    if rated:
        table.add_column("80 % interval", justify="right", style="dim")
    if first.reasons:
        table.add_column("why", max_width=REASON_WIDTH)
    for rank, found in enumerate(answer.items, start=1):
        title = [escape(found.title or "")] if titled else []
        interval = [f"{found.low:.1f} to {found.high:.1f}"] if rated else []
        why = [escape(found.why(language))] if found.reasons else []
        score = f"{found.score:.3f}"
        table.add_row(str(rank), escape(str(found.item)), *title, score, *interval, *why)
    if answer.sufficiency is None or answer.comprehensiveness is None:
        return table
    return Group(
        table,
        Text(f"The first item: {_fidelity(answer.sufficiency, answer.comprehensiveness)}", "dim"),
    )


def explanation_table(found: Explanation, language: str) -> RenderableType:
    """The rank of an item, the reasons for it, and what would change it."""
    name = _name(found.title, found.item)
    reasons = Table("", "adds", "share", "", box=None, pad_edge=False, show_header=False)
    for reason in found.reasons:
        share = f"{reason.share:+.0%}"
        reasons.add_row(escape(_cause(reason)), f"{reason.adds:+.3f}", share, _bar(reason.share))
    lines = [Text(line) for line in _counterfactuals(found)]
    lines.append(Text(_fidelity(found.sufficiency, found.comprehensiveness)))
    largest = sorted(found.content.items(), key=lambda one: -abs(one[1]))[:MAX_COLUMNS]
    if largest:
        parts = ", ".join(f"{column} {added:+.2f}" for column, added in largest)
        lines.append(Text(f"contributions of the item's columns to its score: {parts}", "dim"))
    return Group(Text(f"{name}: rank {found.rank}, {found.why(language)}"), reasons, *lines)


def insight_table(found: Insight) -> RenderableType:
    """What a model learned from all users, and how the events of one user change the list."""
    lines: list[RenderableType] = []
    if found.steps:
        heads = ("after event", "new in the list", "mean change of rank", "now first")
        steps = Table(*heads, box=None, pad_edge=False)
        for step in found.steps:
            name = _name(step.title, step.item)
            first = _name(step.first.title, step.first.item)
            steps.add_row(escape(name), str(step.new), f"{step.moved:.1f}", escape(first))
        lines.append(steps)
    lines += [Text(f"similar group of users: {_group(group)}") for group in found.prototypes]
    if found.read is not None:
        lines.append(Text(f"training users that were compared: {_group(found.read)}"))
    for value, items in found.prior.items():
        lines.append(Text(f"before any event is known, {value} favours {_items(items)}", "dim"))
    return Group(*lines) if lines else Text("too few users to show what the model learned")


def fit_summary(model: Recommender, folder: Path) -> RenderableType:
    """What was fitted and why, its score on validation users, and a command to try next."""
    facts = model.facts
    by_shots = "  ".join(
        f"k={shots} {format_metric(abs(value))}" for shots, value in facts["valid_quality"].items()
    )
    metric = NAMES[HEADLINE[model.objective]]
    example = ",".join(map(str, model.items.ids.head(2).to_list()))
    choice = f"chosen: {facts['choice']}\n" if "choice" in facts else ""
    summary = Text(
        f"{choice}{model.learner} fitted on {facts['train_tasks']} users of "
        f"{facts['data']['name']} in {facts['fit_seconds']:.0f} s\n{metric} on "
        f"{facts['valid_tasks']} validation users by number of known events: {by_shots}\n"
        f'saved to {folder}; try it: warmstart recommend {folder} --history "{example}"'
    )
    if "race" not in facts:
        return summary
    return Group(search_table(facts["race"], metric), Text(), summary)


def search_table(trials: Sequence[Mapping[str, Any]], metric: str) -> RenderableType:
    """The leaderboard of a search: the score of each trial on validation users, and its time."""
    title = f"Learners tried: {metric} on validation users by number of known events (k)"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.add_column("learner", no_wrap=True)
    shots = max((list(one["valid"]) for one in trials), key=len)
    for k in shots:
        table.add_column(f"k={k}", justify="right", no_wrap=True)
    for head in ("mean", "±", "s"):
        table.add_column(head, justify="right", no_wrap=True, style="dim")
    for one in trials:
        valid = one["valid"]
        cells = [format_metric(abs(valid[k])) if k in valid else "" for k in shots]
        error = "" if one["error"] is None else format_metric(1.96 * one["error"])
        chosen = " ←" if one["from"] else ""
        style = "bold green" if one["from"] else "dim" if one["stopped"] else ""
        mean, seconds = format_metric(abs(one["mean"])), f"{one['seconds']:.0f}"
        table.add_row(escape(one["learner"]) + chosen, *cells, mean, error, seconds, style=style)
    caption = "←: chosen. ±: half the 95 % interval of the mean. s: seconds. Dim: stopped early."
    return Group(table, Text(caption, style="dim"))


def up_summary(
    report: Report, model: Recommender, folder: Path, history: Sequence[Id], answer: Answer
) -> RenderableType:
    """The comparison, the chosen learner, and recommendations for one user."""
    all_items = model.recommend((), len(model.items)).items
    titles = {found.item: found.title for found in all_items}
    named = ", ".join(
        f"{item} ({titles[item]})" if titles.get(item) else str(item) for item in history
    )
    return Group(
        report,
        Text(f"\nFitted on all users and saved to {folder}. Chosen: {model.facts['choice']}.\n"),
        Text(f"For a user with the history {named} it recommends:"),
        recommendation_table(answer),
    )


def _fidelity(sufficiency: float, comprehensiveness: float) -> str:
    """Sufficiency and comprehensiveness as a sentence."""
    return (
        f"its three most important events alone keep {sufficiency:.0%} of its rank score "
        f"(1 for the first rank, less further down); without them it loses {comprehensiveness:.0%}"
    )


def _counterfactuals(found: Explanation) -> list[str]:
    """What would take the item out of the list, or bring it in."""
    lines = []
    if found.without is not None:
        names = _names(found.without.titles, found.without.items)
        proof = "the fewest events" if found.without.smallest else "not proven to be the fewest"
        lines.append(f"without {names} it would have rank {found.without.rank} ({proof})")
    if found.with_ is not None:
        names = _names(found.with_.titles, found.with_.items)
        lines.append(f"with {names} it would have rank {found.with_.rank}")
    return lines


def _cause(reason: Reason) -> str:
    if reason.kind == "event":
        return _name(reason.title, reason.item)
    if reason.kind == "profile":
        return f"{reason.column}={reason.value}"
    return ALONE[reason.kind]


def _bar(share: float) -> Text:
    return Text("█" * round(BAR_WIDTH * abs(share)), style="green" if share > 0 else "red")


def _group(group: InsightGroup) -> str:
    return f"{group.tasks} users, who prefer {_items(group.items)}"


def _items(items: Sequence[InsightItem]) -> str:
    """The names of items, with the share of the group's users who have each."""
    shares = ["" if one.share is None else f" ({one.share:.0%})" for one in items]
    named = zip(items, shares, strict=True)
    return ", ".join(_name(one.title, one.item) + share for one, share in named)


def _names(titles: Sequence[str | None], items: Sequence[Id]) -> str:
    return " and ".join(_name(title, item) for title, item in zip(titles, items, strict=True))


def _name(title: str | None, item: object) -> str:
    return title or str(item)
