"""Errors that a caller can act on, and helpers for their messages.

A mistake in warmstart itself is an AssertionError instead.
"""

from collections.abc import Sequence

MAX_LENGTH = 60  # characters of a text in a message
MAX_IDS, MAX_NAMES = 5, 20  # ids, and names, that a message lists


class WarmstartError(Exception):
    """The base class of all errors that warmstart raises on purpose."""


class DataError(WarmstartError):
    """The user's data is wrong; the message says where, what was expected and what to do."""


class NotFitted(WarmstartError):
    """There is no usable model: none was fitted, or its folder is damaged."""


class UsageError(WarmstartError, ValueError):
    """A call is wrong; the message says what is possible instead."""


class UnknownItem(WarmstartError, LookupError):
    """An item that a call needs is not in the model's catalogue."""


def shorten(text: object) -> str:
    """Any text on a single line of at most 60 characters, the rest replaced by dots."""
    line = "".join(letter if letter.isprintable() else " " for letter in str(text))
    return line if len(line) <= MAX_LENGTH else f"{line[: MAX_LENGTH - 3]}..."


def sample_of(ids: Sequence[object]) -> str:
    """The first five ids, joined by commas."""
    return ", ".join(map(str, ids[:MAX_IDS])) + (", ..." if len(ids) > MAX_IDS else "")


def join_names(names: Sequence[str]) -> str:
    """The first twenty names, shortened and joined by commas, and the number of the others."""
    rest = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
    return ", ".join(map(shorten, names[:MAX_NAMES])) + rest
