"""Neural process: a latent variable holds what a task is like, and how unsure that is (Garnelo et
al., 2018).

Neural Processes, ICML 2018 workshop, after Conditional Neural Processes, ICML 2018. The support set
gives a diagonal Gaussian over z; a draw of z is decoded into the scores of the task. Plain scores
are those at the mean of z.

**Deviations.** Each example is Gaussian evidence about z, with a precision of its own, and evidence
adds up (Bayesian aggregation, Volpp et al., ICLR 2021): nothing known is N(0, 1), order does not
matter, and more examples never make it less sure. The decoder is a product of item and task
weights, so that a whole catalogue costs one matrix product. Half of the loss draws z knowing the
query, as in the paper; half draws it from the support alone, as it is in use (Foong et al., NeurIPS
2020): without that half few examples predict poorly, and without the first the process is too sure
of itself. The divergence has a small weight. In evaluation mode the loss takes z at its mean, as
dropout does.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import softplus

from warmstart.learners.base import (
    CandidateSet,
    Items,
    Learner,
    Query,
    Scores,
    Support,
    Weights,
    masked_sum,
    project,
)


class Belief(NamedTuple):
    mean: Float[Tensor, "T Z"]
    spread: Float[Tensor, "T Z"]  # standard deviation
    prior: Weights


class NeuralProcess(Learner):
    """This infers a distribution over tasks from the support set, and decodes the task at its mean
    or at a draw.
    """

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
        """Standard deviation of a rating around its score, in standard units; 0 where events are
        ranked.
        """
        return 0.0 if self.log_noise is None else self.log_noise.exp().item()

    def adapt(self, support: Support, catalogue: CandidateSet) -> Belief:
        y = support.y if self.is_ranking else support.y - project(support.x, support.prior)
        encoded = self.evidence(
            self.example(support.x) + y.unsqueeze(-1) * self.strength(support.x)
        )
        centre, precision = encoded.chunk(2, dim=-1)  # (T, S, Z)
        precision = softplus(precision)
        total = 1 + masked_sum(precision, support.mask)
        return Belief(
            masked_sum(precision * centre, support.mask) / total, total.rsqrt(), support.prior
        )

    def score(self, state: Belief, x: Items) -> Scores:
        return project(x, state.prior + self.linear(state.mean) + self.mixing(state.mean))

    def sample(self, state: Belief, rng: torch.Generator) -> Belief:
        """A state whose z is drawn from what the support set leaves possible, to be scored like any
        other.
        """
        noise = torch.randn(state.mean.shape, generator=rng, device=rng.device)
        return _moved(state, noise.to(state.mean))

    def loss(
        self, support: Support, query: Query, catalogue: CandidateSet, rivals: CandidateSet
    ) -> Float[Tensor, "T"]:
        before, after = (
            self.adapt(support, catalogue),
            self.adapt(_all_known(support, query), catalogue),
        )
        misfit = (self._misfit(before, query, rivals) + self._misfit(after, query, rivals)) / 2
        return misfit + self.kl * _divergence(after, before) / query.mask.sum(dim=1).clamp(min=1)

    def _misfit(self, belief: Belief, query: Query, rivals: CandidateSet) -> Tensor:
        """The negative log-likelihood of a query example under a draw of z, but for a constant:
        (T,).
        """
        drawn = _moved(belief, torch.randn_like(belief.mean)) if self.training else belief
        misfit = self.objective(
            lambda x: self.score(drawn, x), query.x, query.y, query.mask, rivals
        )
        if self.log_noise is None:
            return misfit
        return misfit / (2 * (2 * self.log_noise).exp()) + self.log_noise


def _moved(belief: Belief, noise: Tensor) -> Belief:
    return belief._replace(mean=belief.mean + belief.spread * noise)


def _all_known(support: Support, query: Query) -> Support:
    """The support set as it will be once the query has happened."""
    return Support(
        torch.cat([support.x, query.x], dim=1),
        torch.cat([support.y, query.y], dim=1),
        torch.cat([support.mask, query.mask], dim=1),
        support.prior,
    )


def _divergence(after: Belief, before: Belief) -> Tensor:
    """Kullback-Leibler divergence of two beliefs, in nats: (T,)."""
    ratio = (after.spread / before.spread) ** 2
    shift = ((after.mean - before.mean) / before.spread) ** 2
    return (ratio + shift - 1 - ratio.log()).sum(dim=-1) / 2
