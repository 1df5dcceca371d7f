"""Likeness: how alike the columns of things are, by the cosine of rows in which rare columns weigh
more.
"""

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float32

IDF_SMOOTHING = (
    10.0  # things added to those that share something, so that the rarest does not drown all else
)


def idf_weights(columns: sp.csr_array) -> Float32[np.ndarray, "F"]:
    """The weight of each column: the less, the more things have something in it."""
    return (1 / np.sqrt(np.asarray(columns.power(2).sum(axis=0)) + IDF_SMOOTHING)).astype(
        np.float32
    )


def unit_rows(
    columns: sp.csr_array, weight: Float32[np.ndarray, "F"] | None = None
) -> sp.csr_array:
    """Rows of length 1 after their columns were weighed; a row of nothing stays so."""
    weighed = columns if weight is None else sp.csr_array(columns @ sp.diags_array(weight))
    length = np.sqrt(np.asarray(weighed.power(2).sum(axis=1)))
    return sp.csr_array(sp.diags_array(1 / np.maximum(length, 1e-9)) @ weighed, dtype=np.float32)
