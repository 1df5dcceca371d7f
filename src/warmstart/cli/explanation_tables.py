"""Told: explanations, and what a model has learned, as people read them in a terminal."""

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from warmstart.explain.explanation import Explanation
from warmstart.explain.insight import Insight, Item, Taste
from warmstart.explain.reasons import Reason
from warmstart.recommend.response import Answer

WIDTH, COLUMNS = 20, 5  # letters of the longest bar, and columns of an item that are shown

WHY = 70  # letters of a line of reasons


def recommendation_table(answer: Answer, language: str = "en") -> RenderableType:
    """Recommendations as a table, with their reasons where they have any."""
    if not answer.items:
        return Text(
            "nothing is left to recommend: the history and the exclusions cover the catalogue"
        )
    table = Table(box=None, pad_edge=False)
    table.add_column("#", justify="right", style="dim")
    table.add_column("item")
    titled = any(found.title for found in answer.items)
    if titled:
        table.add_column("title")
    rated = answer.items[0].low is not None
    table.add_column("rating" if rated else "score", justify="right", style="dim")
    if rated:
        table.add_column("4 in 5 lie within", justify="right", style="dim")
    if answer.items[0].reasons:
        table.add_column("why", max_width=WHY)
    for place, found in enumerate(answer.items, start=1):
        title = [escape(found.title or "")] if titled else []
        bar = [f"{found.low:.1f} to {found.high:.1f}"] if rated else []
        why = [escape(found.why(language))] if found.reasons else []
        table.add_row(str(place), escape(str(found.item)), *title, f"{found.score:.3f}", *bar, *why)
    if answer.sufficiency is None:
        return table
    carried = f"the first item keeps {answer.sufficiency:.0%} of its place's worth by its three weightiest events alone"
    return Group(
        table,
        Text(f"{carried}, and loses {answer.comprehensiveness:.0%} without them", style="dim"),
    )


def explanation_table(found: Explanation, language: str) -> RenderableType:
    """Where an item stands, why, and what would change it."""
    name = _name(found.title, found.item)
    head = f"{name}: place {found.rank}, {found.why(language)}"
    parts = Table("", "adds", "share", "", box=None, pad_edge=False, show_header=False)
    for reason in found.reasons:
        parts.add_row(
            escape(_what(reason)), f"{reason.adds:+.3f}", f"{reason.share:+.0%}", _bar(reason.share)
        )
    lines = [Text(line) for line in _changes(found)]
    told = sorted(found.content.items(), key=lambda one: -abs(one[1]))[:COLUMNS]
    if told:
        parts_of = ", ".join(f"{column} {added:+.2f}" for column, added in told)
        lines.append(Text(f"of its score, by what it is: {parts_of}", style="dim"))
    return Group(Text(head), parts, *lines)


def insight_table(found: Insight) -> RenderableType:
    """What a model has learned of people as a whole, and how it listens to one."""
    lines: list[RenderableType] = []
    if found.steps:
        steps = Table(
            "after", "new in the list", "places moved", "now in front", box=None, pad_edge=False
        )
        for step in found.steps:
            name, front = _name(step.title, step.item), _name(step.first.title, step.first.item)
            steps.add_row(escape(name), str(step.new), f"{step.moved:.1f}", escape(front))
        lines.append(steps)
    lines += [Text(f"a taste near to this: {_taste(taste)}") for taste in found.prototypes]
    if found.read is not None:
        lines.append(Text(f"read for this: {_taste(found.read)}"))
    for value, items in found.prior.items():
        lines.append(
            Text(f"before anything else is known, {value} raises {_items(items)}", style="dim")
        )
    return (
        Group(*lines)
        if lines
        else Text("the model was fitted on too few users to show what it learned")
    )


def _changes(found: Explanation) -> list[str]:
    """What would take the item out of the list, or into it, and how far the reasons carry."""
    lines = []
    if found.without is not None:
        names = _names(found.without.titles, found.without.items)
        least = "the fewest events" if found.without.smallest else "not proven to be the fewest"
        lines.append(f"without {names} it would stand at place {found.without.rank} ({least})")
    if found.with_ is not None:
        lines.append(
            f"with {_names(found.with_.titles, found.with_.items)} it would stand at place {found.with_.rank}"
        )
    lines.append(
        f"its three most important events alone keep {found.sufficiency:.0%} of its place's worth, "
        f"without them {found.comprehensiveness:.0%} are lost"
    )
    return lines


def _what(reason: Reason) -> str:
    named = {"prior": "before anything is known", "together": "together with each other"}
    if reason.kind == "event":
        return _name(reason.title, reason.item)
    return f"{reason.column}={reason.value}" if reason.kind == "profile" else named[reason.kind]


def _bar(share: float) -> Text:
    return Text("█" * round(WIDTH * abs(share)), style="green" if share > 0 else "red")


def _taste(taste: Taste) -> str:
    return f"{taste.tasks} users who met {_items(taste.items)}"


def _items(items: tuple[Item, ...]) -> str:
    shares = ["" if one.share is None else f" ({one.share:.0%})" for one in items]
    return ", ".join(
        _name(one.title, one.item) + share for one, share in zip(items, shares, strict=True)
    )


def _names(titles: tuple[str | None, ...], items: tuple[str | int, ...]) -> str:
    return " and ".join(_name(title, item) for title, item in zip(titles, items, strict=True))


def _name(title: str | None, item: object) -> str:
    return title or str(item)
