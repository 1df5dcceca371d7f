"""Peak memory of the process while a block of code runs."""

import threading
from types import TracebackType

import psutil

SAMPLING_INTERVAL = 0.02  # seconds


class PeakMemory:
    """Samples the resident memory during a `with` block; `mb` is the maximum, in megabytes."""

    def __init__(self) -> None:
        self.mb = 0.0
        self._finished = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "PeakMemory":
        self._sample()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self._finished.set()
        self._thread.join()
        self._sample()

    def _run(self) -> None:
        while not self._finished.wait(SAMPLING_INTERVAL):
            self._sample()

    def _sample(self) -> None:
        self.mb = max(self.mb, psutil.Process().memory_info().rss / 1e6)
