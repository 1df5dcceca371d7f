"""Words: reasons as a short sentence, in English or Chinese."""

from collections.abc import Sequence
from typing import NamedTuple

from warmstart.errors import Misuse
from warmstart.reasons import Reason

NAMED = 3  # events that a sentence names at most
LEAST = 0.05  # a smaller share is not worth a word


class Texts(NamedTuple):
    """How a language says it."""

    item: str
    and_: str
    between: str
    because: str
    liked: str
    people: str
    prior: str
    together: str
    although: str
    nothing: str


LANGUAGES = {
    "en": Texts(
        item="{name}",
        and_=" and ",
        between=", and ",
        because="because {parts}",
        liked="you liked {items} ({share})",
        people="people with {column} {value} like it ({share})",
        prior="many like it ({share})",
        together="all of it together speaks for it ({share})",
        although=", although {items} speaks against it ({share})",
        nothing="nothing in particular speaks for it",
    ),
    "zh": Texts(
        item="《{name}》",
        and_="和",
        between="，而且",
        because="因为{parts}",
        liked="您喜欢{items}（{share}）",
        people="{column}为{value}的用户喜欢它（{share}）",
        prior="很多人喜欢它（{share}）",
        together="以上各点合在一起更支持它（{share}）",
        although="，尽管{items}不支持它（{share}）",
        nothing="没有特别的理由支持它",
    ),
}


def sentence(reasons: Sequence[Reason], language: str = "en") -> str:
    """The weightiest reasons in a sentence, and the event that speaks most against the item."""
    if language not in LANGUAGES:
        raise Misuse(f'reasons are told in {" or ".join(LANGUAGES)}, not in "{language}"')
    texts = LANGUAGES[language]
    told = [(share, text) for share, text in _for(reasons, texts) if share >= LEAST]
    if not told:
        return texts.nothing
    told.sort(key=lambda part: -part[0])
    return texts.because.format(parts=texts.between.join(text for _, text in told)) + _against(reasons, texts)


def _for(reasons: Sequence[Reason], texts: Texts) -> list[tuple[float, str]]:
    """Each thing that speaks for the item, with its share."""
    liked = [reason for reason in reasons if reason.kind == "event" and reason.share >= LEAST][:NAMED]
    share = float(sum(reason.share for reason in liked))
    parts = [(share, texts.liked.format(items=_named(liked, texts), share=_share(share)))]
    for reason in reasons:
        if reason.kind == "profile":
            text = texts.people.format(column=reason.column, value=reason.value, share=_share(reason.share))
            parts.append((reason.share, text))
        if reason.kind in ("prior", "together"):
            parts.append((reason.share, getattr(texts, reason.kind).format(share=_share(reason.share))))
    return parts


def _against(reasons: Sequence[Reason], texts: Texts) -> str:
    """The event that speaks most against the item, if it is worth a word."""
    against = [reason for reason in reasons if reason.kind == "event" and reason.share <= -LEAST][:1]
    return texts.although.format(items=_named(against, texts), share=_share(-against[0].share)) if against else ""


def _named(reasons: Sequence[Reason], texts: Texts) -> str:
    return texts.and_.join(texts.item.format(name=reason.title or reason.item) for reason in reasons)


def _share(share: float) -> str:
    return f"{100 * share:.0f} %"
