"""Repeating: work that is done again and again in a thread of its own, whatever goes wrong once."""

import logging
import threading
from collections.abc import Callable

LOG = logging.getLogger(__name__)


class PeriodicTask:
    """This works every so many seconds until it is closed; `failing` is logged where the work
    fails.
    """

    def __init__(self, work: Callable[[], None], seconds: float, failing: str) -> None:
        self.work, self.seconds, self.failing = work, seconds, failing
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End, once what is under way is done."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self.seconds):
            try:
                self.work()
            except Exception:
                LOG.exception(self.failing)
