"""Encoder: items and profiles as vectors, from learned ids and from content columns."""

import numpy as np
import scipy.sparse as sp
import torch
from jaxtyping import Bool, Float, Float32
from torch import Tensor, nn
from torch.nn.functional import dropout, embedding_bag, normalize

from warmstart.arrays import n_columns
from warmstart.learners.base import FIXED_COORDINATES

PRIOR = 1  # the channel of an item's mean appeal


class SparseRows(nn.Module):
    """The rows of a sparse matrix as tensors, saved with the model that reads them."""

    column: Tensor
    weight: Tensor
    start: Tensor

    def __init__(self, matrix: sp.csr_array) -> None:
        super().__init__()
        self.register_buffer("column", torch.from_numpy(matrix.indices.astype(np.int64)))
        self.register_buffer("weight", torch.from_numpy(matrix.data.astype(np.float32)))
        self.register_buffer("start", torch.from_numpy(matrix.indptr.astype(np.int64)))


class ContentEmbedding(nn.Module):
    """This maps the sparse content rows of N things to (N, D) vectors, linearly; at first to
    zero.
    """

    def __init__(self, width: int, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(width, dim))

    def forward(self, rows: SparseRows) -> Float[Tensor, "N D"]:
        return embedding_bag(
            rows.column,
            self.weight,
            rows.start,
            mode="sum",
            per_sample_weights=rows.weight,
            include_last_offset=True,
        )


class Encoder(nn.Module):
    """This gives every item of the catalogue its vector: a constant, its mean appeal, and learned
    coordinates.

    The learned coordinates are the sum of an id embedding and of the item's content. In training
    the ids of some items are dropped, so that an item never seen can live on its content alone
    (after DropoutNet, Volkovs et al., NeurIPS 2017). Without content nothing is dropped, since
    nothing would remain. The id embeddings start at `directions`, else they are drawn. With
    `fixed_appeal` the mean appeal stays what the data say; `profile_rate` is how many times as fast
    as the rest the prior learns from the profile. `unit` gives the learned coordinates length 1, of
    which training drops a share of `coordinate_dropout`.
    """

    def __init__(
        self,
        item_bias: Float32[np.ndarray, "I"],
        *,
        dim: int = 64,
        content: sp.csr_array | None = None,
        profile_width: int = 0,
        initial_embeddings: Float32[np.ndarray, "I K"] | None = None,
        id_dropout: float = 0.1,
        profile_dropout: float = 0.2,
        profile_rate: float = 1.0,
        fixed_appeal: bool = False,
        unit: bool = False,
        coordinate_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.dim, self.id_dropout, self.profile_dropout = dim, id_dropout, profile_dropout
        self.profile_rate, self.unit, self.coordinate_dropout = (
            profile_rate,
            unit,
            coordinate_dropout,
        )
        free = dim - FIXED_COORDINATES
        self.appeal = nn.Parameter(torch.from_numpy(item_bias), requires_grad=not fixed_appeal)
        drawn = torch.randn(len(item_bias), free) * free**-0.5
        self.ids = nn.Parameter(
            drawn if initial_embeddings is None else torch.from_numpy(initial_embeddings)
        )
        self.rows = None if content is None else SparseRows(content)
        self.content = None if content is None else ContentEmbedding(n_columns(content), free)
        self.start = nn.Parameter(nn.functional.one_hot(torch.tensor(PRIOR), dim).float())
        self.profile = ContentEmbedding(profile_width, dim) if profile_width else None

    def forward(self) -> Float[Tensor, "I D"]:
        """The vectors of all items; in training mode some ids are dropped."""
        appeal, ids = self.appeal, self.ids
        if self.rows is not None and self.content is not None:
            if self.training:
                keep = torch.rand(len(ids), device=ids.device) >= self.id_dropout
                appeal, ids = appeal * keep, ids * keep.unsqueeze(-1)
            ids = ids + self.content(self.rows)
        if self.training and self.coordinate_dropout:
            ids = dropout(ids, self.coordinate_dropout)
        ids = normalize(ids, dim=-1) if self.unit else ids
        return torch.cat([torch.ones_like(appeal).unsqueeze(-1), appeal.unsqueeze(-1), ids], dim=-1)

    @property
    def content_width(self) -> int:
        """Columns of content that an item has; 0 where nothing is known of items."""
        return 0 if self.content is None else len(self.content.weight)

    def vector_without(self, item: int, columns: Bool[Tensor, "G"]) -> Float[Tensor, "D"]:
        """The vector that an item would have if some columns of its content were not known."""
        assert self.rows is not None and self.content is not None, (
            "only what is known can be left out"
        )
        place = slice(int(self.rows.start[item]), int(self.rows.start[item + 1]))
        column, weight = self.rows.column[place], self.rows.weight[place]
        rest = weight * ~columns[column]
        ids = self.ids[item] + rest @ self.content.weight[column]
        ids = normalize(ids, dim=-1) if self.unit else ids
        return torch.cat([torch.ones(1), self.appeal[item, None], ids])

    def priors(self, profile: sp.csr_array | None, tasks: int) -> Float[Tensor, "T D"]:
        """The weights that each task starts from, given its profile; in training mode some profiles
        are dropped.
        """
        start = self.start.expand(tasks, -1)
        if self.profile is None or profile is None:
            return start
        shift = self.profile_rate * self.profile(SparseRows(profile).to(start.device))
        if self.training:
            shift = shift * (torch.rand(tasks, 1, device=start.device) >= self.profile_dropout)
        return start + shift
