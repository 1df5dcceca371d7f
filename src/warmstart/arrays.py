"""Arrays: those of a part among the arrays of a whole, and how wide a sparse one is."""

from collections.abc import Mapping
from typing import TypeVar

import scipy.sparse as sp

Array = TypeVar("Array")


def under(arrays: Mapping[str, Array], prefix: str) -> dict[str, Array]:
    """What is named by the prefix and more, by the rest of its name."""
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def columns_in(matrix: sp.csr_array) -> int:
    """The number of columns, which the type of a sparse matrix leaves open."""
    assert matrix.shape is not None, "a sparse matrix has a shape"
    return matrix.shape[1]
