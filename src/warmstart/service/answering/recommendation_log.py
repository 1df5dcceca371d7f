"""Journal: what was recommended is written down a moment later, much at once, so that nobody waits
for the disk.

Events are on disk when they are answered. Of recommendations those of the last moment before a
crash may be missing.
"""

import logging
import queue
import threading

from warmstart.service.answering.background import PeriodicTask
from warmstart.service.store.records import LoggedRecommendation
from warmstart.service.store.store import Store

LOG = logging.getLogger(__name__)
DELAY = 0.1  # seconds until what was recommended is on disk
# recommendations that wait while the store does not answer; further ones are not written down
MOST = 50_000


class RecommendationLog:
    """This writes in a thread of its own, and all that is left when it is closed."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._waiting: queue.Queue[LoggedRecommendation] = queue.Queue(MOST)
        self._lock = threading.Lock()
        self._again = PeriodicTask(self.flush, DELAY, "recommendations could not be written down")

    def append(self, given: LoggedRecommendation) -> None:
        """Write a recommendation down soon."""
        try:
            self._waiting.put_nowait(given)
        except queue.Full:
            LOG.error(
                "the store has not taken %s recommendations; the newest is not written down", MOST
            )

    def flush(self) -> None:
        """Write down all that waits."""
        with self._lock:
            found = []
            while not self._waiting.empty():
                found.append(self._waiting.get_nowait())
            if found:
                self.store.log(found)

    def close(self) -> None:
        """Write down all that waits, and end."""
        self._again.close()
        self.flush()
