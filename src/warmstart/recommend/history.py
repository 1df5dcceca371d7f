"""History: what is known of somebody, as people write it."""

from collections.abc import Mapping, Sequence

from warmstart.data.interactions import Id
from warmstart.errors import UsageError

MAX_VALUE = 1e30  # of a value, so that it and its square fit the numbers of a model
UserHistory = Mapping[Id, float] | Sequence[Id]


def values_of(history: UserHistory, default: float) -> dict[Id, float]:
    """Item -> value; an item that comes twice keeps its last value."""
    if isinstance(history, str | bytes):
        raise UsageError(
            "a history is a list of item ids or a mapping of item ids to values, not a string"
        )
    if not isinstance(history, Mapping):
        return dict.fromkeys(history, default)
    for identifier, value in history.items():
        if not abs(value) <= MAX_VALUE:
            told = f"expected a finite number, and not beyond {MAX_VALUE:g}"
            raise UsageError(f"history item {identifier!r} has the value {value}; {told}")
    return {identifier: float(value) for identifier, value in history.items()}
