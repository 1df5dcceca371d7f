"""What can go wrong, in the three sorts a caller can act on."""


class WarmstartError(Exception):
    """This is the parent of every error that warmstart raises on purpose."""


class DataError(WarmstartError):
    """The user's data is wrong; the message says where, what was expected and what to do."""


class NotFitted(WarmstartError):
    """There is no usable model: none was fitted, or its folder is damaged."""
