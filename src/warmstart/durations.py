"""Durations such as "10m", and the time limit of a fit."""

import math
import time
from dataclasses import dataclass, field

from warmstart.errors import UsageError

UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def parse_duration(span: str | float | int | None, what: str = "budget") -> float | None:
    """Parse a duration such as "500ms", "60s", "10m" or "1h", or a number, into seconds.

    None stays None. A `UsageError`, which calls the duration `what`, where it is not positive.
    """
    if span is None:
        return None
    text = str(span).strip()
    unit = next((unit for unit in UNITS if text.endswith(unit)), "")
    try:
        amount = float(text.removesuffix(unit)) * UNITS.get(unit, 1.0)
    except ValueError:
        amount = 0.0
    if not 0 < amount < float("inf"):
        raise UsageError(f'{what} "{span}" is no span of time; write it as 60s, 10m or 1h')
    return amount


@dataclass(frozen=True)
class Deadline:
    """A time limit: made once where work begins, and passed down to all that must end in time."""

    seconds: float | None = None
    """Length of the span in seconds; None: no limit."""
    begun: float = field(default_factory=time.monotonic)
    """When the span began, on the monotonic clock."""

    @property
    def unlimited(self) -> bool:
        return self.seconds is None

    @property
    def left(self) -> float:
        """Seconds that are left, below 0 when the time is over; infinite without a limit."""
        if self.seconds is None:
            return math.inf
        return self.begun + self.seconds - time.monotonic()

    @property
    def passed(self) -> bool:
        """Whether the time is over."""
        return self.left <= 0

    @property
    def elapsed_share(self) -> float:
        """The share of the span that is over, from 0 on; always 0 without a limit."""
        if self.seconds is None:
            return 0.0
        return 1.0 - self.left / self.seconds if self.seconds > 0 else 1.0

    def share(self, fraction: float) -> "Deadline":
        """The limit of a part that begins now: a fraction of the span, at most what is left."""
        if self.seconds is None:
            return self
        return Deadline(max(0.0, min(fraction * self.seconds, self.left)))


UNLIMITED = Deadline()
