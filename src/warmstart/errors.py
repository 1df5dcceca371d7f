"""What can go wrong, in the sorts a caller can act on; a mistake of ours is an AssertionError
instead.
"""

from collections.abc import Sequence


class WarmstartError(Exception):
    """This is the parent of every error that warmstart raises on purpose."""


class DataError(WarmstartError):
    """The user's data is wrong; the message says where, what was expected and what to do."""


class NotFitted(WarmstartError):
    """There is no usable model: none was fitted, or its folder is damaged."""


class Misuse(WarmstartError, ValueError):
    """A call is wrong: the message says what is possible instead."""


class UnknownItem(WarmstartError, LookupError):
    """An item was named that the model does not know, where one has to be known."""


def shown(text: object) -> str:
    """Any text on a single line, cut short."""
    line = "".join(letter if letter.isprintable() else " " for letter in str(text))
    return line if len(line) <= 60 else f"{line[:57]}..."


def a_few(ids: Sequence[object]) -> str:
    """The first of many ids, for a message."""
    return ", ".join(map(str, ids[:5])) + (", ..." if len(ids) > 5 else "")


def listed(names: Sequence[str]) -> str:
    """The first names of many, for a message."""
    return ", ".join(map(shown, names[:20])) + (
        f" and {len(names) - 20} more" if len(names) > 20 else ""
    )
