"""People: what is known of whom an answer is for, from the store and from the request."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from warmstart.data.interactions import Id
from warmstart.service.api.schemas import HistoryItem
from warmstart.service.store.records import Event
from warmstart.service.store.store import Store

MAX_HISTORY = 200  # stored events of a user that are heard, the latest ones
FEW_SHOTS = 20  # events up to which somebody is new

NEUTRAL_TYPES = frozenset({"dislike", "skip", "hide", "return", "impression", "read"})
"""Types of events that are kept, and not shown again, but say nothing for an item."""

UserOfRequest = tuple[str | None, Sequence[str | HistoryItem], Mapping[str, Any]]
"""A user, if there is one, and the history and the profile that come with a request."""


@dataclass(frozen=True)
class UserContext:
    """What is known of whom an answer is for."""

    history: Mapping[Id, float]
    profile: Mapping[str, Any]
    neutral_items: frozenset[str]
    """Items that were met without a word for them."""

    @property
    def stage(self) -> str:
        """How much that is: nothing, a few events, or many."""
        if not self.history:
            return "prior"
        return "few-shot" if len(self.history) <= FEW_SHOTS else "known"


def user_contexts(
    store: Store, default_value: float, requests: Sequence[UserOfRequest]
) -> list[UserContext]:
    """What is stored of users and what the requests say, of which the latter is later and
    counts.
    """
    users = [user for user, _, _ in requests if user is not None]
    stored, profiles = store.histories_and_profiles(users, MAX_HISTORY) if users else ({}, {})
    return [
        _context(
            stored.get(user or "", ()),
            history,
            {**profiles.get(user or "", {}), **profile},
            default_value,
        )
        for user, history, profile in requests
    ]


def _context(
    stored: Sequence[Event],
    history: Sequence[str | HistoryItem],
    profile: Mapping[str, Any],
    usual: float,
) -> UserContext:
    met: dict[Id, float] = {}
    for item, value in [
        *((one.item_id, one.value) for one in stored if one.type not in NEUTRAL_TYPES),
        *((one, None) if isinstance(one, str) else (one.item_id, one.value) for one in history),
    ]:
        met.pop(item, None)  # what comes again is the latest
        met[item] = usual if value is None else value
    return UserContext(
        met, profile, frozenset(one.item_id for one in stored if one.type in NEUTRAL_TYPES)
    )
