"""Words: reasons as a short sentence, in English or Chinese."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from warmstart.errors import UsageError
from warmstart.explain.reasons import Kind, Reason

MAX_NAMED = 3  # events that a sentence names at most
MIN_SHARE = 0.05  # a smaller share is not worth a word


class Texts(NamedTuple):
    """How a language says it."""

    item: str
    and_: str
    between: str
    because: str
    although: str
    nothing: str
    share: str
    phrases: Mapping[Kind, str]
    """What speaks for an item."""
    objects: Mapping[Kind, str]
    """What speaks against it."""


LANGUAGES = {
    "en": Texts(
        item="{name}",
        and_=" and ",
        between=", and ",
        because="because {parts}",
        although=", although {part}",
        nothing="nothing in particular speaks for it",
        share="{text} ({share:.0f} %)",
        phrases={
            "event": "you liked {items}",
            "profile": "people with {column} {value} like it",
            "prior": "many like it",
            "together": "all of it together speaks for it",
        },
        objects={
            "event": "{items} speaks against it",
            "profile": "people with {column} {value} like it less",
            "prior": "few like it",
            "together": "all of it together speaks against it",
        },
    ),
    "zh": Texts(
        item="《{name}》",
        and_="和",
        between="，而且",
        because="因为{parts}",
        although="，尽管{part}",
        nothing="没有特别的理由支持它",
        share="{text}（{share:.0f} %）",
        phrases={
            "event": "您喜欢{items}",
            "profile": "{column}为{value}的用户喜欢它",
            "prior": "很多人喜欢它",
            "together": "以上各点合在一起更支持它",
        },
        objects={
            "event": "{items}不支持它",
            "profile": "{column}为{value}的用户不太喜欢它",
            "prior": "喜欢它的人不多",
            "together": "以上各点合在一起不支持它",
        },
    ),
}


def sentence(reasons: Sequence[Reason], language: str = "en") -> str:
    """What speaks for an item, the weightiest in front, and what speaks most against it."""
    if language not in LANGUAGES:
        raise UsageError(f'reasons are told in {" or ".join(LANGUAGES)}, not in "{language}"')
    texts = LANGUAGES[language]
    grouped = sorted(_grouped(reasons), key=lambda group: -_share(group))
    told = [_phrase(group, texts.phrases, texts) for group in grouped]
    against = sorted(
        (one for one in reasons if one.share <= -MIN_SHARE), key=lambda one: one.share
    )[:1]
    objection = "".join(
        texts.although.format(part=_phrase([one], texts.objects, texts)) for one in against
    )
    return (
        texts.because.format(parts=texts.between.join(told)) if told else texts.nothing
    ) + objection


def _grouped(reasons: Sequence[Reason]) -> list[list[Reason]]:
    """What speaks for an item: the events as one, all else each for itself."""
    worth = [reason for reason in reasons if reason.share >= MIN_SHARE]
    events = [reason for reason in worth if reason.kind == "event"][:MAX_NAMED]
    return [
        *([events] if events else []),
        *([reason] for reason in worth if reason.kind != "event"),
    ]


def _phrase(group: Sequence[Reason], phrases: Mapping[Kind, str], texts: Texts) -> str:
    """One thing that speaks for or against an item, with its share."""
    first = group[0]
    items = texts.and_.join(texts.item.format(name=reason.title or reason.item) for reason in group)
    text = phrases[first.kind].format(items=items, column=first.column, value=first.value)
    return texts.share.format(text=text, share=100 * abs(_share(group)))


def _share(group: Sequence[Reason]) -> float:
    return float(sum(reason.share for reason in group))
