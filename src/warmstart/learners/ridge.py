"""Ridge head: the task's weights in closed form, on vectors meta-learned for it (Bertinetto et al.,
ICLR 2019).

The solution is the mean of a Gaussian posterior, so it comes with all that the support set leaves
open (Bishop, 2006).

**Deviations.** The solution is regularised towards the task's prior instead of zero. Without
ratings the catalogue counts as weak evidence of no interest, as in implicit-feedback ALS (Hu et
al., ICDM 2008), with a learned weight. The strength of the solution is a learned scale, since a
softmax has no natural unit, and so is the width of the posterior. Events are trained by their
chance on average over draws of the weights; ratings by the error of the mean, and their density
teaches the width alone.
"""

import math
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
    Vectors,
    Weights,
    masked_mean,
    project,
)

DRAWS = 4  # in training


class Posterior(NamedTuple):
    """Gaussian weights: their mean, and the Cholesky factor of their precision up to one scale."""

    mean: Weights
    factor: Float[Tensor, "T D D"]


class Ridge(Learner):
    """This solves one small linear system a task; its state is the solution with its
    uncertainty.
    """

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
        """Standard deviation of a rating around its score, in standard units."""
        return 0.0 if self.is_ranking else self.log_spread.exp().item()

    def adapt(self, support: Support, catalogue: CandidateSet) -> Posterior:
        x = torch.where(support.mask.unsqueeze(-1), support.x, 0.0)
        precision = (
            self.log_l2.exp() * torch.eye(x.shape[-1], dtype=x.dtype, device=x.device) + x.mT @ x
        )  # (T, D, D)
        if self.log_absent is not None:
            precision = precision + self.log_absent.exp() * catalogue.second_moment
        evidence = x.mT @ self._surprise(support).unsqueeze(-1)  # (T, D, 1)
        factor = torch.linalg.cholesky(precision)
        solution = torch.cholesky_solve(evidence, factor).squeeze(-1)
        return Posterior(support.prior + self.log_gain.exp() * solution, factor)

    def leave_one_out_differences(self, support: Support, catalogue: CandidateSet) -> Vectors:
        """By the formula of a regression without one of its rows (Allen, Technometrics 1974)."""
        state = self.adapt(support, catalogue)
        solution = (state.mean - support.prior) / self.log_gain.exp()
        x = torch.where(support.mask.unsqueeze(-1), support.x, 0.0)
        reached = torch.cholesky_solve(x.mT, state.factor).mT  # (T, S, D)
        surprise = torch.where(support.mask, self._surprise(support), 0.0) - project(x, solution)
        weight = surprise / (1 - (reached * x).sum(dim=-1))
        return self.log_gain.exp() * weight.unsqueeze(-1) * reached

    def score(self, state: Posterior, x: Items) -> Scores:
        return project(x, state.mean)

    def sample(self, state: Posterior, rng: torch.Generator | None = None) -> Posterior:
        """Weights drawn from the posterior of each task."""
        noise = torch.randn(
            state.mean.shape, generator=rng, dtype=state.mean.dtype, device=state.mean.device
        )
        deviation = torch.linalg.solve_triangular(
            state.factor.mT, noise.unsqueeze(-1), upper=True
        ).squeeze(-1)
        return state._replace(mean=state.mean + self.log_spread.exp() * deviation)

    def loss(
        self, support: Support, query: Query, catalogue: CandidateSet, rivals: CandidateSet
    ) -> Float[Tensor, "T"]:
        """In training of all that the posterior holds; else, as with dropout, of its mean."""
        state = self.adapt(support, catalogue)
        if self.is_ranking and self.training:
            return self._surprise_of_events(
                [self.sample(state).mean for _ in range(DRAWS)], query, rivals
            )
        outer = self.objective(lambda x: self.score(state, x), query.x, query.y, query.mask, rivals)
        return outer + self._surprise_of_ratings(state, query) if self.training else outer

    def _surprise_of_events(
        self, draws: list[Weights], query: Query, rivals: CandidateSet
    ) -> Tensor:
        """Minus the logarithm of each event's chance, averaged over the draws: (T,)."""
        log_chances = []
        for weights in draws:
            rest = (project(rivals.x, weights) + rivals.log_weight).logsumexp(dim=-1, keepdim=True)
            log_chances.append(-softplus(rest - project(query.x, weights)))
        return masked_mean(
            math.log(len(draws)) - torch.stack(log_chances).logsumexp(dim=0), query.mask
        )

    def _surprise_of_ratings(self, state: Posterior, query: Query) -> Tensor:
        """Minus the log-density of the ratings, from which only the width of the posterior learns:
        (T,).
        """
        error = (query.y - self.score(state, query.x)).detach()
        factor, x = (
            state.factor.detach(),
            torch.where(query.mask.unsqueeze(-1), query.x.detach(), 0.0),
        )
        open_ended = (
            torch.linalg.solve_triangular(factor, x.mT, upper=False).square().sum(dim=1)
        )  # (T, Q)
        log_variance = 2 * self.log_spread + open_ended.log1p()
        return masked_mean(0.5 * (log_variance + error**2 / log_variance.exp()), query.mask)

    def _surprise(self, support: Support) -> Tensor:
        """What the prior did not expect: an event (ranking), or the rest of a rating."""
        return support.y if self.is_ranking else support.y - project(support.x, support.prior)
