"""Asked: whom to recommend what, and what of it a model understands; many people at once."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import scipy.sparse as sp
from jaxtyping import Bool

from warmstart.data.features.table import Features
from warmstart.data.interactions import Id, Vocabulary
from warmstart.errors import UsageError, sample_of
from warmstart.recommend.exploration import Policy
from warmstart.recommend.filters import Wanted
from warmstart.recommend.history import UserHistory, values_of
from warmstart.tasks.examples import Examples


@dataclass(frozen=True)
class Request:
    """What is known of somebody, and what they are to be recommended; see
    `Recommender.recommend`.
    """

    history: UserHistory = ()
    n: int = 10
    profile: Mapping[str, Any] = field(default_factory=dict)
    exclude: Iterable[Id] = ()
    explain: bool = False
    again: bool = False
    where: Wanted | Bool[np.ndarray, "I"] | None = None
    policy: Policy | None = None

    def __post_init__(self) -> None:
        if self.n < 1:
            raise UsageError(f"n is the number of recommendations and at least 1, not {self.n}")


class ProfileRow(NamedTuple):
    """A profile as the model reads it: the first row; and in each other row without one of the
    columns.
    """

    rows: sp.csr_array
    columns: Mapping[str, Any]


class ParsedRequest(NamedTuple):
    """What a model understands of somebody."""

    support: Examples
    """Of one task."""
    profile: ProfileRow | None
    unknown: tuple[Id, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class RequestParser:
    """This turns what is known of people, in their own words, into codes."""

    items: Vocabulary
    columns: Features | None
    default_value: float

    def parse(self, history: UserHistory, profile: Mapping[str, Any]) -> ParsedRequest:
        """What the model makes of a history and a profile."""
        values = values_of(history, self.default_value)
        codes = self.items.encode(values)
        known = codes >= 0
        support = Examples(
            item=codes[known],
            value=np.fromiter(values.values(), dtype=np.float32, count=len(values))[known],
            offsets=np.array([0, known.sum()]),
        )
        row, warnings = self._profile(profile) if profile else (None, ())
        unknown = tuple(
            identifier for identifier, found in zip(values, known, strict=True) if not found
        )
        if unknown:
            warnings += (
                f"{len(unknown)} of {len(values)} items of the history are unknown and were "
                f"skipped: {sample_of(unknown)}",
            )
        return ParsedRequest(support, row, unknown, warnings)

    def _profile(self, profile: Mapping[str, Any]) -> tuple[ProfileRow | None, tuple[str, ...]]:
        """The profile as the model reads it, and a warning for each part that the model cannot
        read.
        """
        known = {} if self.columns is None else self.columns.columns
        warnings = tuple(
            f'the model knows no profile column "{column}" and ignores it; it knows '
            f"{', '.join(known) or 'none'}"
            for column in profile
            if column not in known
        )
        if self.columns is None or not set(profile) & set(known):
            return None, warnings
        told = {column: value for column, value in profile.items() if column in known}
        table = pl.DataFrame({column: [value] * (len(told) + 1) for column, value in told.items()})
        for place, column in enumerate(told):
            table[place + 1, column] = None
        return ProfileRow(self.columns.transform(table), told), warnings


def as_batch(people: Sequence[ParsedRequest]) -> tuple[Examples, sp.csr_array | None]:
    """The support sets of people of whom all have a profile or none has, and their profiles."""
    supports = [person.support for person in people]
    start = np.concatenate([[0], np.cumsum([len(one.item) for one in supports])]).astype(np.int64)
    rows = [person.profile.rows[[0]] for person in people if person.profile is not None]
    assert not rows or len(rows) == len(people), (
        "people with and without a profile are adapted to apart"
    )
    support = Examples(
        np.concatenate([one.item for one in supports]),
        np.concatenate([one.value for one in supports]),
        start,
    )
    return support, sp.csr_array(sp.vstack(rows)) if rows else None
