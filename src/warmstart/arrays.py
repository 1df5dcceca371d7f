"""Arrays: those of a part among the arrays of a whole, where they begin in memory, how wide a
sparse one is.
"""

from collections.abc import Mapping
from typing import TypeVar

import numpy as np
import scipy.sparse as sp

Array = TypeVar("Array")


def strip_prefix(arrays: Mapping[str, Array], prefix: str) -> dict[str, Array]:
    """What is named by the prefix and more, by the rest of its name."""
    return {
        name.removeprefix(prefix): array
        for name, array in arrays.items()
        if name.startswith(prefix)
    }


ALIGNMENT = 64
"""Bytes: a cache line, and the width of the widest vector registers."""


def aligned(array: np.ndarray) -> np.ndarray:
    """The array in row-major order at an address that is a multiple of `ALIGNMENT`; copied only
    where it is not.

    Matrix products take other paths, and round otherwise, where their operands begin elsewhere. So
    a model gives the same scores to the last bit before it is saved and after it is loaded only if
    both times its arrays are aligned.
    """
    if array.flags.c_contiguous and array.ctypes.data % ALIGNMENT == 0:
        return array
    memory = np.empty(array.nbytes + ALIGNMENT, dtype=np.uint8)
    first = -memory.ctypes.data % ALIGNMENT
    copy = memory[first : first + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


def n_columns(matrix: sp.csr_array) -> int:
    """The number of columns, which the type of a sparse matrix leaves open."""
    assert matrix.shape is not None, "a sparse matrix has a shape"
    return matrix.shape[1]
