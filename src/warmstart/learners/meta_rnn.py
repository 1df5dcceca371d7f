"""Meta-RNN: an LSTM as a learned optimiser; its cell state is the task's weights.

Ravi & Larochelle, Optimization as a Model for Few-Shot Learning, ICLR 2017. One step of the cell is
one step of descent: `weights = forget * weights - input * gradient`. What gradient descent fixes, 1
and the rate, are gates here, learned functions of the gradient, the loss, the weight and the
previous gate, the same for all weights of a layer. The first cell state is learned too.

**Deviations.** The gates read their inputs directly, without an LSTM of their own between. The
input gate opens up to a learned maximum instead of 1, since the gradients of a softmax over a
catalogue are small. Each layer has its own gate weights. As in the paper, the gradient is an input
and not differentiated again.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from warmstart.learners.base import Items, Learner, Scores, Support
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
from warmstart.learners.objectives import CandidateSet

N_SIGNALS = 6  # two of the gradient, two of the loss, the weight, the previous gate
FORGET_BIAS = 5.0  # of a forget gate that keeps more than 99 % of a weight at each step
LOG_FLOOR = 10.0  # signals below exp(-10) differ by their size alone, not by its logarithm


class Gates(NamedTuple):
    """The share of the gradient that is applied and of the weight that is kept, for each weight."""

    input: Tensor
    forget: Tensor


class MetaRNN(Learner):
    """Descent by a learned optimiser; its state is the weights of each task's head.

    With a `fixed_rate` above 0 the gates are (`fixed_rate`, 1): gradient descent from learned
    initial weights.
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
            self.admit, self.keep = _init_gates(0.0), _init_gates(FORGET_BIAS)
            self.log_reach = nn.Parameter(torch.tensor(2 * INNER_RATE[objective]).log())

    def adapt(self, support: Support, candidates: CandidateSet) -> HeadWeights:
        weights = expand_to_tasks(self.head, support.prior)
        gates = {n: Gates(torch.zeros_like(w), torch.zeros_like(w)) for n, w in weights.items()}
        for _ in range(self.inner_steps):
            loss = support_loss(self.objective, weights, support, candidates).detach()
            gradient = support_gradient(
                self.objective, weights, ADAPTED_LAYERS["all"], support, candidates
            )
            gradient = {name: g.detach() for name, g in gradient.items()}
            gates = {n: self._gates(n, weights[n], gradient[n], loss, gates[n]) for n in weights}
            weights = self._step(weights, gates, gradient, support.mask.any(dim=1))
        return weights

    def score(self, state: HeadWeights, x: Items) -> Scores:
        return head_scores(state, x)

    def _step(
        self,
        weights: HeadWeights,
        gates: dict[str, Gates],
        gradient: HeadWeights,
        has_examples: Tensor,
    ) -> HeadWeights:
        """The next cell state; a task without examples keeps its weights whatever the gates say."""
        stepped = {
            n: gates[n].forget * w - gates[n].input * gradient[n] for n, w in weights.items()
        }
        return {
            n: torch.where(_broadcast(has_examples, w), stepped[n], w) for n, w in weights.items()
        }

    def _gates(
        self, name: str, weight: Tensor, gradient: Tensor, loss: Tensor, before: Gates
    ) -> Gates:
        if self.fixed_rate:
            return Gates(torch.full_like(weight, self.fixed_rate), torch.ones_like(weight))
        of_loss = (s.expand_as(weight) for s in _log_and_sign(_broadcast(loss, weight)))
        signals = [*_log_and_sign(gradient), *of_loss, weight]  # each of the weight's shape
        opened = self.admit[name](torch.stack([*signals, before.input], dim=-1))
        kept = self.keep[name](torch.stack([*signals, before.forget], dim=-1))
        input_gate = self.log_reach.exp() * opened.squeeze(-1).sigmoid()
        return Gates(input_gate, kept.squeeze(-1).sigmoid())


def _init_gates(bias: float) -> nn.ModuleDict:
    """A gate for each layer that opens to sigmoid(bias) for any signals until it is trained."""
    gates = nn.ModuleDict({name: nn.Linear(N_SIGNALS, 1) for name in ADAPTED_LAYERS["all"]})
    for parameter in gates.parameters():
        nn.init.constant_(parameter, bias if parameter.ndim == 1 else 0.0)
    return gates


def _log_and_sign(signal: Tensor) -> tuple[Tensor, Tensor]:
    """Size and sign of numbers of very different sizes (Andrychowicz et al., NeurIPS 2016)."""
    size = signal.abs().clamp(min=1e-30).log() / LOG_FLOOR
    large = size >= -1
    tiny = torch.e**LOG_FLOOR * signal
    return torch.where(large, size, -1.0), torch.where(large, signal.sign(), tiny)


def _broadcast(per_task: Tensor, weight: Tensor) -> Tensor:
    """One value for each task in a shape that meets the task's weights: (T,) -> (T, 1, ...)."""
    return per_task.view(-1, *[1] * (weight.ndim - 1))
