"""learn2learn's MAML, Meta-SGD and GBML on our tasks, where that package is installed.

Arnold, Mahajan, Datta, Bunner & Zarkias, learn2learn: A Library for Meta-Learning Research, 2020.
Its algorithms wrap a module, here the head that our own learners share: `clone()` it for a task,
then `adapt(loss)` for each step. The library loops over the tasks, so this takes several times as
long as `MAML` does.

**Deviations.** A task's prior is no part of a module that all tasks share; the module has a shift
of it instead, which starts at 0 and is adapted like any weight. GBML needs a transform of
gradients: the Kronecker-factored one of its authors (Arnold et al., 2019), with which it is MAML at
first.
"""

from importlib import import_module
from typing import Any, Literal

import torch
from torch import Tensor, nn

from warmstart.learners.base import Items, Learner, Scores, Support
from warmstart.learners.blocks.head import INNER_RATE, HeadWeights, head_scores, init_head
from warmstart.learners.objectives import CandidateSet


class Learn2Learn(Learner):
    """Adaptation by an algorithm of learn2learn; its state is the weights of each task's head.

    `inner_rate` is in units of `INNER_RATE`, so that one number suits both objectives.
    """

    def __init__(
        self,
        dim: int,
        *,
        objective: str = "ranking",
        algorithm: Literal["maml", "meta-sgd", "gbml"] = "maml",
        first_order: bool = False,
        inner_steps: int = 2,
        inner_rate: float = 1.0,
        hidden: int = 32,
    ) -> None:
        super().__init__(objective=objective)
        self.first_order, self.inner_steps = first_order, inner_steps
        self.algorithm = _wrap(Head(dim, hidden), algorithm, inner_rate * INNER_RATE[objective])

    def adapt(self, support: Support, candidates: CandidateSet) -> HeadWeights:
        tasks = zip(support.x, support.y, support.mask, support.prior, strict=True)
        adapted = [self._adapt_task(*task, candidates) for task in tasks]
        return {name: torch.cat([weights[name] for weights in adapted]) for name in adapted[0]}

    def score(self, state: HeadWeights, x: Items) -> Scores:
        return head_scores(state, x)

    def _adapt_task(
        self, x: Tensor, y: Tensor, mask: Tensor, prior: Tensor, candidates: CandidateSet
    ) -> HeadWeights:
        """The weights of one task, as a batch of one: from (S, D), (S,), (S,), (D,)."""
        training = torch.is_grad_enabled()
        with torch.enable_grad():  # the library's steps need it in use, too
            copy = self.algorithm.clone()
            for _ in range(self.inner_steps):
                loss = self.objective(lambda items: copy(items, prior), x, y, mask, candidates)
                copy.adapt(loss, first_order=self.first_order or not training)
        weights = copy.module.weights(prior)
        return weights if training else {name: weight.detach() for name, weight in weights.items()}


class Head(nn.Module):
    """The shared head as a module that scores one task at a time."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        for name, weight in init_head(dim, hidden).items():
            self.register_parameter(name, weight)
        self.shift = nn.Parameter(torch.zeros(dim))

    def forward(self, x: Tensor, prior: Tensor) -> Tensor:
        return head_scores(self.weights(prior), x).squeeze(0)

    def weights(self, prior: Tensor) -> HeadWeights:
        """The weights of a task with that prior, as a batch of one."""
        weights = {name: weight.unsqueeze(0) for name, weight in self.named_parameters()}
        shift = weights.pop("shift")
        return {**weights, "prior": prior + shift}


def _wrap(head: Head, algorithm: str, rate: float) -> Any:
    l2l: Any = import_module("learn2learn")  # late: an optional package that only this class needs
    if algorithm == "gbml":
        transform = l2l.optim.KroneckerTransform(l2l.nn.KroneckerLinear)
        return l2l.algorithms.GBML(head, transform=transform, lr=rate)
    wrapper = l2l.algorithms.MAML if algorithm == "maml" else l2l.algorithms.MetaSGD
    return wrapper(head, lr=rate)
