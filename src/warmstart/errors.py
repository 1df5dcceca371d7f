"""What can go wrong, in the sorts a caller can act on; a mistake of ours is an AssertionError instead."""


class WarmstartError(Exception):
    """This is the parent of every error that warmstart raises on purpose."""


class DataError(WarmstartError):
    """The user's data is wrong; the message says where, what was expected and what to do."""


class NotFitted(WarmstartError):
    """There is no usable model: none was fitted, or its folder is damaged."""


class Misuse(WarmstartError, ValueError):
    """A call is wrong: the message says what is possible instead."""
