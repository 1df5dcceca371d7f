"""Episode: the support and query sets of T tasks, as tensors of any shape."""

from typing import Any, NamedTuple

import torch
from jaxtyping import Shaped
from torch import Tensor


class Episode(NamedTuple):
    """T tasks with S support and Q query examples each; `D` may be several dimensions (an image).

    Targets are numbers (regression), class numbers from 0 (classification), or 1 for what is
    relevant and 0 for the rest (ranking).
    """

    support_x: Shaped[Tensor, "T S *D"]
    support_y: Shaped[Tensor, "T S"]
    query_x: Shaped[Tensor, "T Q *D"]
    query_y: Shaped[Tensor, "T Q"]

    @classmethod
    def split(cls, x: Any, y: Any, shots: int) -> "Episode":
        """The first `shots` examples of each task as its support set, the others as its query.

        `x` (T, N, *D) and `y` (T, N) are tensors or arrays; numbers become single precision.
        """
        x, y = _tensor(x), _tensor(y)
        if x.shape[:2] != y.shape:
            raise ValueError(
                f"x is (T, N, ...) and y is (T, N), one target for each example; "
                f"x is {tuple(x.shape)} and y {tuple(y.shape)}"
            )
        if not 0 < shots < y.shape[1]:
            raise ValueError(
                f"shots leave at least one support and one query example of {y.shape[1]}: "
                f"from 1 to {y.shape[1] - 1}, not {shots}"
            )
        return cls(x[:, :shots], y[:, :shots], x[:, shots:], y[:, shots:])


def _tensor(values: Any) -> Tensor:
    tensor = torch.as_tensor(values)
    return tensor.float() if tensor.is_floating_point() else tensor
