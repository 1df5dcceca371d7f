"""Connections: how a worker takes them, so that those beside it get their share."""

import time
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

PAUSE, LONGEST = 5e-5, 1e-3  # seconds


class BackOffProtocol(HttpToolsProtocol):
    """A connection of a worker that takes the next one the later, the more it has.

    Workers listen at one socket. Of connections that come together, as those of a client's pool do,
    the first worker to wake up would take all, and those beside it would have nothing to do for as
    long as they are kept.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        time.sleep(
            min(LONGEST, PAUSE * len(self.connections))
        )  # the loop takes no other connection meanwhile
