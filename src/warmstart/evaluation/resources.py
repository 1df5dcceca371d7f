"""Cost: how much memory the process takes while something runs."""

import threading
from types import TracebackType

import psutil

SECONDS_BETWEEN_LOOKS = 0.02


class PeakMemory:
    """This watches the process while its `with` block runs; `mb` is the most it held, in
    megabytes.
    """

    def __init__(self) -> None:
        self.mb = 0.0
        self._over = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "PeakMemory":
        self._look()
        self._watcher.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self._over.set()
        self._watcher.join()
        self._look()

    def _watch(self) -> None:
        while not self._over.wait(SECONDS_BETWEEN_LOOKS):
            self._look()

    def _look(self) -> None:
        self.mb = max(self.mb, psutil.Process().memory_info().rss / 1e6)
