"""learn2learn's MAML, Meta-SGD and GBML on our tasks (Arnold et al., 2020), where that package is
installed.

Its algorithms wrap a module, here the head that our own learners share: `clone()` it for a task,
then `adapt(loss)` for each step. The loop over the tasks is the library's way, and why this takes
several times as long as `MAML` does.

**Deviations.** A task's prior is no part of a module that all tasks share; the module has a shift
of it instead, which starts at 0 and is adapted like any weight. GBML needs a transform of
gradients: the Kronecker-factored one of its authors (Arnold et al., 2019), with which it is MAML at
first.
"""

from importlib import import_module
from typing import Any, Literal

import torch
from torch import Tensor, nn

from warmstart.learners.base import CandidateSet, Items, Learner, Scores, Support
from warmstart.learners.blocks.head import INNER_RATE, HeadWeights, head_scores, init_head


class Learn2Learn(Learner):
    """This adapts as an algorithm of learn2learn does; its state is the weights of each task's
    head.

    `inner_rate` is in units of `START_RATE`, so that one number suits both objectives.
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
        self.algorithm = _wrapped(Head(dim, hidden), algorithm, inner_rate * INNER_RATE[objective])

    def adapt(self, support: Support, catalogue: CandidateSet) -> HeadWeights:
        tasks = zip(support.x, support.y, support.mask, support.prior, strict=True)
        adapted = [self._adapted(*task, catalogue) for task in tasks]
        return {name: torch.cat([weights[name] for weights in adapted]) for name in adapted[0]}

    def score(self, state: HeadWeights, x: Items) -> Scores:
        return head_scores(state, x)

    def _adapted(
        self, x: Tensor, y: Tensor, mask: Tensor, prior: Tensor, catalogue: CandidateSet
    ) -> HeadWeights:
        """The weights of one task: (S, D), (S,), (S,), (D,) -> T of 1 in front."""
        training = torch.is_grad_enabled()
        with torch.enable_grad():
            copy = self.algorithm.clone()
            for _ in range(self.inner_steps):
                loss = self.objective(lambda items: copy(items, prior), x, y, mask, catalogue)
                copy.adapt(loss, first_order=self.first_order or not training)
        weights = copy.module.weights(prior)
        return weights if training else {name: weight.detach() for name, weight in weights.items()}


class Head(nn.Module):
    """The head as a module for one task at a time."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        for name, weight in init_head(dim, hidden).items():
            self.register_parameter(name, weight)
        self.shift = nn.Parameter(torch.zeros(dim))

    def forward(self, x: Tensor, prior: Tensor) -> Tensor:
        return head_scores(self.weights(prior), x).squeeze(0)

    def weights(self, prior: Tensor) -> HeadWeights:
        """The weights of a task with that prior, as the only one of a batch."""
        own = {name: weight.unsqueeze(0) for name, weight in self.named_parameters()}
        shift = own.pop("shift")
        return {**own, "prior": prior + shift}


def _wrapped(head: Head, algorithm: str, rate: float) -> Any:
    l2l: Any = import_module("learn2learn")  # only now: nobody needs it who does not ask for it
    if algorithm == "gbml":
        transform = l2l.optim.KroneckerTransform(l2l.nn.KroneckerLinear)
        return l2l.algorithms.GBML(head, transform=transform, lr=rate)
    wrapper = l2l.algorithms.MAML if algorithm == "maml" else l2l.algorithms.MetaSGD
    return wrapper(head, lr=rate)
