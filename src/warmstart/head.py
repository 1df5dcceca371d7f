"""The head: a small network over item vectors of whose weights every task may own a version.

Learners that adapt by changing weights share it: a fresh head, the scores under given weights, the slope of a support
set's loss. All of it is batched over tasks, so no task waits for another.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import grad

from warmstart.learner import Catalogue, Items, Objective, Scores, Support, Weights, project

HeadWeights = dict[str, Tensor]
"""The weights by name, each with leading dimension T; "prior" (T, D) is the part that knows the profile."""
LAYERS = {
    "all": ("represent", "bend", "hidden", "offset", "output", "prior"),
    "decision": ("hidden", "offset", "output", "prior"),
    "output": ("output", "prior"),
}
"""What a task may adapt: everything, all above the representation, or the last layer alone."""
START_RATE = {"ranking": 0.5, "rating": 0.1}
"""The inner rate that suits an objective: a softmax is flat, a squared error steep."""


def fresh_head(dim: int, hidden: int) -> nn.ParameterDict:
    """Random weights of two hidden layers and a linear output; the prior comes with the task."""
    return nn.ParameterDict(
        {
            "represent": torch.randn(dim, hidden) * dim**-0.5,
            "bend": torch.zeros(hidden),
            "hidden": torch.randn(hidden, hidden) * hidden**-0.5,
            "offset": torch.zeros(hidden),
            "output": torch.randn(hidden) * hidden**-0.5,
        }
    )


def of_tasks(head: nn.ParameterDict, prior: Weights) -> HeadWeights:
    """The weights from which T tasks start: the same head for all, and each one's own prior."""
    return {**{name: weight.expand(len(prior), *weight.shape) for name, weight in head.items()}, "prior": prior}


def head_scores(weights: HeadWeights, x: Items) -> Scores:
    """The scores of Q items under each task's weights."""
    z = torch.tanh(x @ weights["represent"] + weights["bend"].unsqueeze(-2))
    z = torch.tanh(z @ weights["hidden"] + weights["offset"].unsqueeze(-2))
    return project(z, weights["output"]) + project(x, weights["prior"])


def support_loss(
    objective: Objective, weights: HeadWeights, support: Support, catalogue: Catalogue
) -> Float[Tensor, "T"]:
    """How badly each task's weights explain its own support set."""
    return objective(lambda x: head_scores(weights, x), support.x, support.y, support.mask, catalogue)


def slope(
    objective: Objective, weights: HeadWeights, adapted: Sequence[str], support: Support, catalogue: Catalogue
) -> HeadWeights:
    """The gradient of each task's support loss with respect to its adapted weights, itself differentiable.

    Tasks share no weights, so the gradient of the sum over tasks holds that of every task.
    """

    def total(own: HeadWeights) -> Tensor:
        return support_loss(objective, {**weights, **own}, support, catalogue).sum()

    return grad(total)({name: weights[name] for name in adapted})
