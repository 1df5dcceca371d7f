"""The MAML family: a few gradient steps from meta-learned initial weights, differentiated through.

Finn, Abbeel & Levine, Model-Agnostic Meta-Learning, ICML 2017. One head of three layers; which
layers a task adapts and at which rates makes the members:

- MAML adapts all layers; FOMAML drops the second-order terms (`first_order`);
- MeLU (Lee et al., KDD 2019) adapts the decision layers and keeps the representation; ANIL (Raghu
  et al., ICLR 2020) adapts the last layer alone (`adapts`);
- Meta-SGD (Li et al., 2017) learns a rate for each weight (`learn_rates="each"`).

**Deviations.** The item vectors below the head are never adapted, since all tasks share one
catalogue. The prior of the task is part of the last layer. The rate is learned for MAML too, one
for each layer, as by Antoniou et al. (ICLR 2019).
"""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from warmstart.learners.base import Items, Learner, Query, Scores, Support
from warmstart.learners.blocks.dual_descent import RATE_NAMES, scores_after_descent
from warmstart.learners.blocks.head import (
    ADAPTED_LAYERS,
    INNER_RATE,
    HeadWeights,
    expand_to_tasks,
    head_scores,
    init_head,
    support_gradient,
)
from warmstart.learners.objectives import CandidateSet


class MAML(Learner):
    """Gradient descent on the support set; its state is the weights of each task's head."""

    def __init__(
        self,
        dim: int,
        *,
        objective: str = "ranking",
        adapts: Literal["all", "decision", "output"] = "all",
        first_order: bool = False,
        learn_rates: Literal["one", "each"] = "one",
        inner_steps: int = 2,
        hidden: int = 32,
    ) -> None:
        super().__init__(objective=objective)
        self.first_order, self.inner_steps = first_order, inner_steps
        self.adapted = ADAPTED_LAYERS[adapts]
        self.uses_dual_form = objective == "rating" and adapts == "all" and learn_rates == "one"
        self.head = init_head(dim, hidden)
        shapes = {name: weight.shape for name, weight in self.head.items()}
        shapes["prior"] = torch.Size([dim])
        self.log_rate = nn.ParameterDict(
            {
                name: torch.full(
                    shapes[name] if learn_rates == "each" else (), INNER_RATE[objective]
                ).log()
                for name in self.adapted
            }
        )

    def adapt(self, support: Support, candidates: CandidateSet) -> HeadWeights:
        weights = expand_to_tasks(self.head, support.prior)
        for _ in range(self.inner_steps):
            # First order: the gradient counts as a constant, so no second derivative is taken.
            with torch.set_grad_enabled(torch.is_grad_enabled() and not self.first_order):
                gradient = support_gradient(
                    self.objective, weights, self.adapted, support, candidates
                )
            weights |= {n: weights[n] - self.log_rate[n].exp() * g for n, g in gradient.items()}
        return weights

    def score(self, state: HeadWeights, x: Items) -> Scores:
        return head_scores(state, x)

    def loss(
        self, support: Support, query: Query, candidates: CandidateSet, negatives: CandidateSet
    ) -> Float[Tensor, " T"]:
        if not self.uses_dual_form:
            return super().loss(support, query, candidates, negatives)
        scores = scores_after_descent(
            self.head,
            torch.stack([self.log_rate[name] for name in RATE_NAMES]).exp(),
            support,
            query.x,
            steps=self.inner_steps,
            first_order=self.first_order,
        )
        return self.objective(lambda _: scores, query.x, query.y, query.mask, negatives)
