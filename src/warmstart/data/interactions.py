"""The event log: users, items, values, times and domains of interactions, in coded columns."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import polars as pl
from jaxtyping import Float32, Int64

from warmstart.errors import UsageError

Codes = Int64[np.ndarray, "N"]
Amounts = Float32[np.ndarray, "N"]

Id = str | int


@dataclass(frozen=True)
class Vocabulary:
    """The ids of users or of items, as the caller wrote them; the code of an id is its index."""

    ids: pl.Series

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def _listed(self) -> list[Id]:
        return self.ids.to_list()

    @cached_property
    def _codes(self) -> dict[Id, int]:
        return {identifier: code for code, identifier in enumerate(self._listed)}

    def encode(self, ids: Iterable[Id]) -> Codes:
        """The code of each id, -1 where the id is unknown; "7" and 7 are taken for the same id."""
        same = str if self.ids.dtype == pl.String else _as_integer
        return np.array(
            [self._codes.get(same(identifier), -1) for identifier in ids], dtype=np.int64
        )

    def decode(self, codes: Codes) -> list[Id]:
        """The ids behind the codes, of the type in which they came."""
        return [self._listed[code] for code in codes.tolist()]


@dataclass(frozen=True)
class Interactions:
    """An immutable event log, oldest event first; N events.

    `user` and `item` are codes into `users` and `items`. `time` is any integer that grows with
    time, or None where the data has no order. `item_table` and `user_table` have one row for each
    code, or are None.
    """

    user: Codes
    item: Codes
    value: Amounts
    time: Codes | None
    domain: Codes | None
    users: Vocabulary
    items: Vocabulary
    domains: tuple[str, ...] = ()
    item_table: pl.DataFrame | None = None
    user_table: pl.DataFrame | None = None
    name: str = "data"

    def __len__(self) -> int:
        return len(self.user)

    @property
    def explicit(self) -> bool:
        """Whether the values differ, as ratings do."""
        return len(self) > 0 and bool(np.ptp(self.value) > 0)

    @cached_property
    def has_comparable_times(self) -> bool:
        """Whether times of different users can be compared.

        They cannot where each user's times begin at the same number, as positions do.
        """
        if self.time is None or not len(self):
            return False
        first = np.full(len(self.users), np.iinfo(np.int64).max)
        np.minimum.at(first, self.user, self.time)
        return len(np.unique(first[np.unique(self.user)])) > 1

    @property
    def time_unit(self) -> int:
        """Units of time in a second: 1, 1000 or 10**6, guessed from the size of the numbers.

        They are taken for seconds, milliseconds or microseconds since 1970.
        """
        latest = 0 if self.time is None or not len(self) else int(np.abs(self.time).max())
        return 1 if latest < 10**11 else 10**3 if latest < 10**14 else 10**6

    def transposed(self) -> "Interactions":
        """The log with users and items exchanged, so that item cold start is user cold start."""
        return replace(
            self,
            user=self.item,
            item=self.user,
            users=self.items,
            items=self.users,
            item_table=self.user_table,
            user_table=self.item_table,
        )

    def sessions(self, gap: int) -> "Interactions":
        """The log with sessions as users: pauses longer than `gap` units of time part sessions.

        A session is called after its user and its number: `ann#0`. The table of users has no rows
        for sessions and is left out. A `UsageError` where times cannot be compared.
        """
        if not self.has_comparable_times:
            raise UsageError(
                "sessions are found by the times of events, "
                "and these data have none that can be compared"
            )
        assert self.time is not None, "comparable times are times"
        rows = np.lexsort((np.arange(len(self)), self.user))
        user, time = self.user[rows], self.time[rows]
        first = np.concatenate([[True], user[1:] != user[:-1]])
        begins = first | np.concatenate([[True], np.diff(time) > gap])
        sorted_session = np.cumsum(begins) - 1
        session = np.empty(len(self), dtype=np.int64)
        session[rows] = sorted_session
        # a session's number is its code less the code of its user's first session
        first_session = sorted_session[first][np.cumsum(first[begins]) - 1]
        number = np.arange(begins.sum()) - first_session
        user_ids = pl.Series(self.users.decode(user[begins])).cast(pl.String)
        ids = user_ids + "#" + pl.Series(number).cast(pl.String)
        return replace(self, user=session, users=Vocabulary(ids), user_table=None)

    def fingerprint(self) -> str:
        """SHA-256 of the events and ids: equal for equal data, whatever file they came from."""
        digest = hashlib.sha256()
        for column in (self.user, self.item, self.value, self.time, self.domain):
            digest.update(b"-" if column is None else np.ascontiguousarray(column).tobytes())
        for vocabulary in (self.users, self.items):
            digest.update("\0".join(map(str, vocabulary.ids.to_list())).encode())
        return digest.hexdigest()


def _as_integer(identifier: Id) -> Id:
    try:
        return int(identifier)
    except ValueError:
        return identifier
