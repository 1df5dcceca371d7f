"""warmstart: recommendations that are good from the first click."""

from typing import Any
from warnings import warn

import lazy_loader

__version__ = "0.2.0"

RENAMED = {"Efficiency": "LearningCurve", "Misuse": "UsageError", "shop": "synthetic_shop"}
"""Names until 0.1 and what they are called now; they go in 0.3."""

# The public names and where they live are listed once, in __init__.pyi. What nobody uses is not
# imported, so that a service or a line of help starts at once.
_found, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> Any:
    if name in RENAMED:
        warn(
            f"warmstart.{name} is now warmstart.{RENAMED[name]}; the old name goes in 0.3",
            DeprecationWarning,
            stacklevel=2,
        )
    return _found(RENAMED.get(name, name))
