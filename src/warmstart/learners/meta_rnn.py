"""Meta-RNN: an LSTM that learns to optimise; its cell state is the task's weights (Ravi &
Larochelle, ICLR 2017).

One step of the cell is one step of descent: `weights = forget * weights - input * gradient`. What
gradient descent fixes, 1 and the rate, are gates here, learned functions of the gradient, the loss,
the weight and the gate before, the same for all weights of a layer. The first cell state is learned
too.

**Deviations.** The gates read their inputs directly, without an LSTM of their own between. The
input gate opens up to a learned reach instead of 1, since the gradients of a softmax over a
catalogue are small. Each layer has its own gate weights. As in the paper, the gradient is an input
and not differentiated again.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from warmstart.learners.base import CandidateSet, Items, Learner, Scores, Support
from warmstart.learners.blocks.head import (
    ADAPTED_LAYERS,
    INNER_RATE,
    HeadWeights,
    expand_to_tasks,
    head_scores,
    init_head,
    support_gradient,
    support_loss,
)

SIGNALS = 6  # two of the gradient, two of the loss, the weight, the gate before
HOLD = 5.0  # the bias of a gate that forgets less than a hundredth a step
SMALLEST = 10.0  # a signal below exp(-10) is told from others by its size alone


class Gates(NamedTuple):
    """How much of the gradient comes in and how much of the weights stays, for each weight of T
    tasks.
    """

    admit: Tensor
    keep: Tensor


class MetaRNN(Learner):
    """This adapts by a learned optimiser; its state is the weights of each task's head.

    With a `fixed_rate` above 0 the gates are (`fixed_rate`, 1): gradient descent from a learned
    start.
    """

    def __init__(
        self,
        dim: int,
        *,
        objective: str = "ranking",
        inner_steps: int = 3,
        fixed_rate: float = 0.0,
        hidden: int = 32,
    ) -> None:
        super().__init__(objective=objective)
        self.inner_steps, self.fixed_rate = inner_steps, fixed_rate
        self.head = init_head(dim, hidden)
        if not fixed_rate:
            self.admit, self.keep = _gates(0.0), _gates(HOLD)
            self.log_reach = nn.Parameter(torch.tensor(2 * INNER_RATE[objective]).log())

    def adapt(self, support: Support, catalogue: CandidateSet) -> HeadWeights:
        weights = expand_to_tasks(self.head, support.prior)
        gates = {
            name: Gates(torch.zeros_like(weight), torch.zeros_like(weight))
            for name, weight in weights.items()
        }
        for _ in range(self.inner_steps):
            loss = support_loss(self.objective, weights, support, catalogue).detach()
            gradient = support_gradient(
                self.objective, weights, ADAPTED_LAYERS["all"], support, catalogue
            )
            gradient = {name: g.detach() for name, g in gradient.items()}
            gates = {
                name: self._open(name, weights[name], gradient[name], loss, gates[name])
                for name in weights
            }
            stepped = {
                name: gates[name].keep * w - gates[name].admit * gradient[name]
                for name, w in weights.items()
            }
            known = support.mask.any(dim=1)
            weights = {
                name: torch.where(_like(known, w), stepped[name], w) for name, w in weights.items()
            }
        return weights

    def score(self, state: HeadWeights, x: Items) -> Scores:
        return head_scores(state, x)

    def _open(
        self, name: str, weight: Tensor, gradient: Tensor, loss: Tensor, before: Gates
    ) -> Gates:
        if self.fixed_rate:
            return Gates(torch.full_like(weight, self.fixed_rate), torch.ones_like(weight))
        signals = [
            *_compressed(gradient),
            *(s.expand_as(weight) for s in _compressed(_like(loss, weight))),
            weight,
        ]
        admit = (
            self.admit[name](torch.stack([*signals, before.admit], dim=-1)).squeeze(-1).sigmoid()
        )
        keep = self.keep[name](torch.stack([*signals, before.keep], dim=-1)).squeeze(-1).sigmoid()
        return Gates(self.log_reach.exp() * admit, keep)


def _gates(bias: float) -> nn.ModuleDict:
    """A gate for each layer that opens to sigmoid(bias) whatever the signals, until it is
    trained.
    """
    gates = nn.ModuleDict({name: nn.Linear(SIGNALS, 1) for name in ADAPTED_LAYERS["all"]})
    for parameter in gates.parameters():
        nn.init.constant_(parameter, bias if parameter.ndim == 1 else 0.0)
    return gates


def _compressed(signal: Tensor) -> tuple[Tensor, Tensor]:
    """Size and sign of numbers of very different sizes (Andrychowicz et al., NeurIPS 2016)."""
    size = signal.abs().clamp(min=1e-30).log() / SMALLEST
    large = size >= -1
    tiny = torch.e**SMALLEST * signal
    return torch.where(large, size, -1.0), torch.where(large, signal.sign(), tiny)


def _like(per_task: Tensor, weight: Tensor) -> Tensor:
    """One value for each task in a shape that meets the task's weights: (T,) -> (T, 1, ...)."""
    return per_task.view(-1, *[1] * (weight.ndim - 1))
