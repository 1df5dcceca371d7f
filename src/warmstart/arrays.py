"""Arrays: those of a part, among the arrays of a whole."""

from collections.abc import Mapping
from typing import TypeVar

Array = TypeVar("Array")


def under(arrays: Mapping[str, Array], prefix: str) -> dict[str, Array]:
    """What is named by the prefix and more, by the rest of its name."""
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
