"""Neural process: a latent variable for each task, with a posterior given the support set.

Garnelo et al., Neural Processes, ICML 2018 workshop, after Conditional Neural Processes, ICML 2018.
The support set gives a diagonal Gaussian over z; a sample of z is decoded into the scores of the
task. Plain scores are those at the mean of z.

**Deviations.** Each example is a Gaussian observation of z with a precision of its own, and
precisions add up (Bayesian aggregation, Volpp et al., ICLR 2021): without examples z is N(0, 1),
order does not matter, and more examples never raise the uncertainty. The decoder is a product of
item and task weights, so that a whole catalogue costs one matrix product. Half of the loss samples
z given the query, as in the paper; half samples it given the support alone, as it is in use (Foong
et al., NeurIPS 2020): without that half few examples predict poorly, and without the first the
posterior is too narrow. The divergence has a small weight. In evaluation mode the loss takes z at
its mean, as dropout does.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import softplus

from warmstart.learners.base import (
    Items,
    Learner,
    Query,
    Scores,
    Support,
    Weights,
    masked_sum,
    project,
)
from warmstart.learners.objectives import CandidateSet


class LatentPosterior(NamedTuple):
    """Diagonal Gaussian over the latent variable of each task."""

    mean: Float[Tensor, "T Z"]
    std: Float[Tensor, "T Z"]
    prior: Weights


class NeuralProcess(Learner):
    """Infers a latent variable from the support set, and decodes its mean or a sample of it."""

    def __init__(
        self,
        dim: int,
        *,
        objective: str = "ranking",
        hidden: int = 128,
        latent: int = 64,
        dropout: float = 0.1,
        kl: float = 0.1,
    ) -> None:
        super().__init__(objective=objective)
        self.kl = kl
        self.example = nn.Linear(dim, hidden)
        self.strength = nn.Linear(dim, hidden)
        self.evidence = nn.Sequential(nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, 2 * latent))
        self.linear = nn.Linear(latent, dim, bias=False)
        self.mixing = nn.Sequential(
            nn.Linear(latent, hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, dim)
        )
        self.log_noise = None if self.is_ranking else nn.Parameter(torch.tensor(1.0).log())

    @property
    def noise(self) -> float:
        """Standard deviation of a rating around its score, in standard units; 0 for ranking."""
        return 0.0 if self.log_noise is None else self.log_noise.exp().item()

    def adapt(self, support: Support, candidates: CandidateSet) -> LatentPosterior:
        y = support.y if self.is_ranking else support.y - project(support.x, support.prior)
        hidden = self.example(support.x) + y.unsqueeze(-1) * self.strength(support.x)
        centre, precision = self.evidence(hidden).chunk(2, dim=-1)  # (T, S, Z)
        precision = softplus(precision)
        total = 1 + masked_sum(precision, support.mask)  # 1 is the precision of N(0, 1)
        mean = masked_sum(precision * centre, support.mask) / total
        return LatentPosterior(mean, total.rsqrt(), support.prior)

    def score(self, state: LatentPosterior, x: Items) -> Scores:
        return project(x, state.prior + self.linear(state.mean) + self.mixing(state.mean))

    def sample(self, state: LatentPosterior, rng: torch.Generator) -> LatentPosterior:
        """A state whose mean is a sample of z, to be scored like any other."""
        noise = torch.randn(state.mean.shape, generator=rng, device=rng.device)
        return _shift(state, noise.to(state.mean))

    def loss(
        self, support: Support, query: Query, candidates: CandidateSet, negatives: CandidateSet
    ) -> Float[Tensor, " T"]:
        before = self.adapt(support, candidates)
        after = self.adapt(_with_query(support, query), candidates)
        nll = (self._nll(before, query, negatives) + self._nll(after, query, negatives)) / 2
        return nll + self.kl * _divergence(after, before) / query.mask.sum(dim=1).clamp(min=1)

    def _nll(self, posterior: LatentPosterior, query: Query, negatives: CandidateSet) -> Tensor:
        """The negative log-likelihood of a query example given a sample of z, but for a constant:
        (T,).
        """
        if self.training:
            posterior = _shift(posterior, torch.randn_like(posterior.mean))
        loss = self.objective(
            lambda x: self.score(posterior, x), query.x, query.y, query.mask, negatives
        )
        if self.log_noise is None:
            return loss
        return loss / (2 * (2 * self.log_noise).exp()) + self.log_noise


def _shift(posterior: LatentPosterior, noise: Tensor) -> LatentPosterior:
    """The posterior with its mean moved by `noise` standard deviations."""
    return posterior._replace(mean=posterior.mean + posterior.std * noise)


def _with_query(support: Support, query: Query) -> Support:
    """The support set with the query as further examples."""
    return Support(
        torch.cat([support.x, query.x], dim=1),
        torch.cat([support.y, query.y], dim=1),
        torch.cat([support.mask, query.mask], dim=1),
        support.prior,
    )


def _divergence(after: LatentPosterior, before: LatentPosterior) -> Tensor:
    """Kullback-Leibler divergence of two posteriors, in nats: (T,)."""
    ratio = (after.std / before.std) ** 2
    shift = ((after.mean - before.mean) / before.std) ** 2
    return (ratio + shift - 1 - ratio.log()).sum(dim=-1) / 2
