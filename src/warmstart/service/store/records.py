"""Records: what the store keeps, as its callers see it."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple


class Event(NamedTuple):
    """What somebody did."""

    user_id: str
    item_id: str
    type: str
    value: float | None
    time: float
    """Seconds since 1970."""
    recommendation_id: str | None = None


class LoggedRecommendation(NamedTuple):
    """A recommendation that was given."""

    id: str
    user_id: str | None
    time: float
    """Seconds since 1970."""
    model: str
    stage: str
    took_ms: float
    items: Sequence[Mapping[str, Any]]


class Stamp(NamedTuple):
    """How many items there are, and when the last of them changed."""

    items: int
    changed: float


class Page(NamedTuple):
    """Some rows of a list, and where the next ones begin; None behind the last."""

    rows: list[dict[str, Any]]
    cursor: str | None
