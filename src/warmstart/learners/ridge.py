"""Ridge head: the task's weights by ridge regression in closed form, on meta-learned item vectors.

Bertinetto, Henriques, Torr & Vedaldi, Meta-learning with Differentiable Closed-form Solvers, ICLR
2019. The solution is the mean of a Gaussian posterior, whose covariance comes with it (Bishop,
2006).

**Deviations.** The solution is regularised towards the task's prior instead of zero. Without
ratings the catalogue counts as weak negative feedback, as in implicit-feedback ALS (Hu et al., ICDM
2008), with a learned weight. The solution has a learned gain, since a softmax has no natural unit,
and so has the width of the posterior. Events are trained by their mean probability over samples of
the weights; ratings by the error of the mean, and their density trains the width alone.
"""

import math
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
    Vectors,
    Weights,
    project,
)
from warmstart.learners.objectives import CandidateSet, masked_mean

TRAINING_SAMPLES = 4  # of the weights, for each task and step


class Posterior(NamedTuple):
    """Gaussian posterior of the weights: mean, and Cholesky factor of the scaled precision."""

    mean: Weights
    factor: Float[Tensor, "T D D"]


class Ridge(Learner):
    """Solves one small linear system a task; its state is the posterior of the weights."""

    def __init__(
        self, dim: int, *, objective: str = "ranking", l2: float = 1.0, gain: float = 4.0
    ) -> None:
        super().__init__(objective=objective)
        self.log_l2 = nn.Parameter(torch.tensor(l2).log())
        self.log_gain = nn.Parameter(torch.tensor(gain if self.is_ranking else 1.0).log())
        self.log_absent = nn.Parameter(torch.tensor(1.0).log()) if self.is_ranking else None
        self.log_spread = nn.Parameter(torch.tensor(0.5).log())

    @property
    def noise(self) -> float:
        """Standard deviation of a rating around its score, in standard units; 0 for ranking."""
        return 0.0 if self.is_ranking else self.log_spread.exp().item()

    def adapt(self, support: Support, candidates: CandidateSet) -> Posterior:
        x = torch.where(support.mask.unsqueeze(-1), support.x, 0.0)
        identity = torch.eye(x.shape[-1], dtype=x.dtype, device=x.device)
        precision = self.log_l2.exp() * identity + x.mT @ x  # (T, D, D)
        if self.log_absent is not None:
            precision = precision + self.log_absent.exp() * candidates.second_moment
        moment = x.mT @ self._residual(support).unsqueeze(-1)  # (T, D, 1)
        factor = torch.linalg.cholesky(precision)
        solution = torch.cholesky_solve(moment, factor).squeeze(-1)
        return Posterior(support.prior + self.log_gain.exp() * solution, factor)

    def leave_one_out_differences(self, support: Support, candidates: CandidateSet) -> Vectors:
        """The weights less those without each example, by the PRESS formula.

        PRESS: Allen, Technometrics 1974.
        """
        state = self.adapt(support, candidates)
        solution = (state.mean - support.prior) / self.log_gain.exp()
        x = torch.where(support.mask.unsqueeze(-1), support.x, 0.0)
        solved = torch.cholesky_solve(x.mT, state.factor).mT  # (T, S, D): precision^-1 @ x
        residual = torch.where(support.mask, self._residual(support), 0.0) - project(x, solution)
        leverage = (solved * x).sum(dim=-1)  # (T, S)
        weight = residual / (1 - leverage)
        return self.log_gain.exp() * weight.unsqueeze(-1) * solved

    def score(self, state: Posterior, x: Items) -> Scores:
        return project(x, state.mean)

    def sample(self, state: Posterior, rng: torch.Generator | None = None) -> Posterior:
        """A state whose mean is a sample from the posterior of each task."""
        mean = state.mean
        noise = torch.randn(mean.shape, generator=rng, dtype=mean.dtype, device=mean.device)
        deviation = torch.linalg.solve_triangular(state.factor.mT, noise.unsqueeze(-1), upper=True)
        return state._replace(mean=mean + self.log_spread.exp() * deviation.squeeze(-1))

    def loss(
        self, support: Support, query: Query, candidates: CandidateSet, negatives: CandidateSet
    ) -> Float[Tensor, " T"]:
        """In training the loss of the whole posterior; else, as with dropout, that of its mean."""
        state = self.adapt(support, candidates)
        if self.is_ranking and self.training:
            samples = [self.sample(state).mean for _ in range(TRAINING_SAMPLES)]
            return self._nll_of_events(samples, query, negatives)
        outer = self.objective(
            lambda x: self.score(state, x), query.x, query.y, query.mask, negatives
        )
        return outer + self._nll_of_ratings(state, query) if self.training else outer

    def _nll_of_events(
        self, samples: list[Weights], query: Query, negatives: CandidateSet
    ) -> Tensor:
        """Minus the log of each event's mean probability over samples of the weights: (T,)."""
        log_probabilities = []
        for weights in samples:
            scores = project(negatives.x, weights) + negatives.log_weight
            rest = scores.logsumexp(dim=-1, keepdim=True)
            log_probabilities.append(-softplus(rest - project(query.x, weights)))
        log_mean = torch.stack(log_probabilities).logsumexp(dim=0)
        return masked_mean(math.log(len(samples)) - log_mean, query.mask)

    def _nll_of_ratings(self, state: Posterior, query: Query) -> Tensor:
        """Minus the log-density of the ratings, which trains the width of the posterior alone:
        (T,).
        """
        # Detached: what the weights predict is trained by the squared error.
        error = (query.y - self.score(state, query.x)).detach()
        factor = state.factor.detach()
        x = torch.where(query.mask.unsqueeze(-1), query.x.detach(), 0.0)
        root = torch.linalg.solve_triangular(factor, x.mT, upper=False)  # (T, D, Q)
        log_variance = 2 * self.log_spread + root.square().sum(dim=1).log1p()
        return masked_mean(0.5 * (log_variance + error**2 / log_variance.exp()), query.mask)

    def _residual(self, support: Support) -> Tensor:
        """Targets of the regression: strengths (ranking), or ratings less the prior's scores."""
        return support.y if self.is_ranking else support.y - project(support.x, support.prior)
