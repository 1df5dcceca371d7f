"""A span of time as people write it."""

from warmstart.errors import UsageError

UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def parse_duration(span: str | float | int | None, what: str = "budget") -> float | None:
    """A span of time in seconds: "500ms", "60s", "10m", "1h", or a number of seconds."""
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
