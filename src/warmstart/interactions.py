"""The event log: who met which item, when, and how much they liked it, in coded columns."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
from jaxtyping import Float32, Int64

Codes = Int64[np.ndarray, "N"]
Amounts = Float32[np.ndarray, "N"]

Id = str | int


@dataclass(frozen=True)
class Vocabulary:
    """The ids of one kind of thing, as the user wrote them; the code of an id is its row."""

    ids: pl.Series

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def _codes(self) -> dict[Id, int]:
        return {identifier: code for code, identifier in enumerate(self.ids.to_list())}

    def encode(self, ids: Iterable[Id]) -> Codes:
        """The code of each id, -1 where the id is unknown; "7" and 7 are taken for the same id."""
        same = str if self.ids.dtype == pl.String else _as_integer
        return np.array([self._codes.get(same(identifier), -1) for identifier in ids], dtype=np.int64)

    def decode(self, codes: Codes) -> list[Id]:
        """The ids behind the codes, of the type in which they came."""
        return self.ids.gather(codes).to_list()


@dataclass(frozen=True)
class Interactions:
    """An immutable event log, oldest event first; N events.

    `owner` and `item` are codes into `owners` and `items`. `time` is any integer that grows with time, or None
    where the data has no order. `item_table` and `owner_table` have one row for each code, or are None.
    """

    owner: Codes
    item: Codes
    value: Amounts
    time: Codes | None
    domain: Codes | None
    owners: Vocabulary
    items: Vocabulary
    domains: tuple[str, ...] = ()
    item_table: pl.DataFrame | None = None
    owner_table: pl.DataFrame | None = None
    name: str = "data"

    def __len__(self) -> int:
        return len(self.owner)

    @property
    def explicit(self) -> bool:
        """Whether the values differ, as ratings do."""
        return len(self) > 0 and bool(np.ptp(self.value) > 0)

    def fingerprint(self) -> str:
        """A digest of the events: equal for equal data, whatever file they came from."""
        digest = hashlib.sha256()
        for column in (self.owner, self.item, self.value, self.time, self.domain):
            digest.update(b"-" if column is None else np.ascontiguousarray(column).tobytes())
        for vocabulary in (self.owners, self.items):
            digest.update("\0".join(map(str, vocabulary.ids.to_list())).encode())
        return digest.hexdigest()


def _as_integer(identifier: Id) -> Id:
    try:
        return int(identifier)
    except ValueError:
        return identifier
