"""Encoder: vectors of items and priors of profiles, from id embeddings and content features."""

import numpy as np
import scipy.sparse as sp
import torch
from jaxtyping import Bool, Float, Float32
from torch import Tensor, nn
from torch.nn.functional import dropout, embedding_bag, normalize

from warmstart.arrays import n_columns
from warmstart.learners.base import FIXED_COORDINATES

BIAS_COORDINATE = 1  # of an item's vector; the coordinate before it is the constant 1


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
    """A linear map of N sparse rows of content features to vectors (N, D), zero at first."""

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
    """Item tower and profile prior: every item's vector is a constant, its bias, and an embedding.

    The embedding is the sum of an id embedding and the item's content. In training the ids of some
    items are dropped, so that a cold item can be scored by its content alone (after DropoutNet,
    Volkovs et al., NeurIPS 2017); without content nothing is dropped, since nothing would remain.
    Id embeddings start at `initial_embeddings`, else they are random. With `fixed_appeal` the item
    bias is not trained. The prior learns from the profile `profile_rate` times as fast as the rest
    of the model. `unit` normalises the embeddings to length 1, of which training drops a share of
    `coordinate_dropout`.
    """

    def __init__(
        self,
        item_bias: Float32[np.ndarray, " I"],
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
        self.profile_rate, self.unit = profile_rate, unit
        self.coordinate_dropout = coordinate_dropout
        width = dim - FIXED_COORDINATES
        self.appeal = nn.Parameter(torch.from_numpy(item_bias), requires_grad=not fixed_appeal)
        # Drawn in any case, so that a seed gives the same model with or without initial embeddings.
        drawn = torch.randn(len(item_bias), width) * width**-0.5
        self.ids = nn.Parameter(
            drawn if initial_embeddings is None else torch.from_numpy(initial_embeddings)
        )
        self.rows = None if content is None else SparseRows(content)
        self.content = None if content is None else ContentEmbedding(n_columns(content), width)
        prior = nn.functional.one_hot(torch.tensor(BIAS_COORDINATE), dim).float()
        self.start = nn.Parameter(prior)  # of a user without profile: scores are the item biases
        self.profile = ContentEmbedding(profile_width, dim) if profile_width else None

    def forward(self) -> Float[Tensor, "I D"]:
        """The vectors of all items; in training mode some ids are dropped."""
        item_bias, ids = self.appeal, self.ids
        if self.rows is not None and self.content is not None:
            if self.training:
                keep = torch.rand(len(ids), device=ids.device) >= self.id_dropout
                item_bias, ids = item_bias * keep, ids * keep.unsqueeze(-1)
            ids = ids + self.content(self.rows)
        if self.training and self.coordinate_dropout:
            ids = dropout(ids, self.coordinate_dropout)
        ids = normalize(ids, dim=-1) if self.unit else ids
        ones = torch.ones_like(item_bias)
        return torch.cat([ones.unsqueeze(-1), item_bias.unsqueeze(-1), ids], dim=-1)

    @property
    def content_width(self) -> int:
        """The number of content features of an item; 0 for a model without content."""
        return 0 if self.content is None else len(self.content.weight)

    def vector_without(self, item: int, columns: Bool[Tensor, " G"]) -> Float[Tensor, " D"]:
        """The vector of an item with some of its content features set to zero."""
        assert self.rows is not None and self.content is not None, "a model without content"
        row = slice(int(self.rows.start[item]), int(self.rows.start[item + 1]))
        column, weight = self.rows.column[row], self.rows.weight[row]
        rest = weight * ~columns[column]
        ids = self.ids[item] + rest @ self.content.weight[column]
        ids = normalize(ids, dim=-1) if self.unit else ids
        return torch.cat([ids.new_ones(1), self.appeal[item, None], ids])

    def priors(self, profile: sp.csr_array | None, tasks: int) -> Float[Tensor, "T D"]:
        """The prior weights of each task given its profile; training drops some profiles."""
        prior = self.start.expand(tasks, -1)
        if self.profile is None or profile is None:
            return prior
        shift = self.profile_rate * self.profile(SparseRows(profile).to(prior.device))
        if self.training:
            shift = shift * (torch.rand(tasks, 1, device=prior.device) >= self.profile_dropout)
        return prior + shift
