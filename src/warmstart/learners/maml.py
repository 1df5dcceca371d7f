"""The MAML family: a few gradient steps from a learned start, differentiated through (Finn et al., ICML 2017).

One head, three layers; which layers a task adapts and how makes the members:

- MAML adapts all layers; FOMAML drops the second-order terms (`first_order`);
- MeLU (Lee et al., KDD 2019) adapts the decision layers and keeps the representation; ANIL (Raghu et al., ICLR 2020)
  adapts the last layer alone (`adapts`);
- Meta-SGD (Li et al., 2017) learns a rate for each weight (`learn_rates="each"`).

**Deviations.** The item vectors below the head are never adapted, since all tasks share one catalogue. The prior of
the task is part of the last layer. The rate is learned for MAML too (one number), as by Antoniou et al. (ICLR 2019).
"""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.func import grad, vmap

from warmstart.learner import Catalogue, Items, Learner, Scores, Support

HeadWeights = dict[str, Tensor]
START_RATE = {"ranking": 0.5, "rating": 0.1}  # a softmax is flat, a squared error steep
LAYERS = {
    "all": ("represent", "bend", "hidden", "offset", "output", "prior"),
    "decision": ("hidden", "offset", "output", "prior"),
    "output": ("output", "prior"),
}


class MAML(Learner):
    """This adapts by gradient descent on the support set; its state is the weights of each task's head."""

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
        self.first_order, self.inner_steps, self.adapted = first_order, inner_steps, LAYERS[adapts]
        self.head = nn.ParameterDict(
            {
                "represent": torch.randn(dim, hidden) * dim**-0.5,
                "bend": torch.zeros(hidden),
                "hidden": torch.randn(hidden, hidden) * hidden**-0.5,
                "offset": torch.zeros(hidden),
                "output": torch.randn(hidden) * hidden**-0.5,
            }
        )
        shapes = {**{name: weight.shape for name, weight in self.head.items()}, "prior": torch.Size([dim])}
        self.log_rate = nn.ParameterDict(
            {
                name: torch.full(shapes[name] if learn_rates == "each" else (), START_RATE[objective]).log()
                for name in self.adapted
            }
        )

    def adapt(self, support: Support, catalogue: Catalogue) -> HeadWeights:
        def descend(x: Tensor, y: Tensor, mask: Tensor, prior: Tensor) -> HeadWeights:
            return self._descend(x, y, mask, prior, catalogue)

        return vmap(descend)(support.x, support.y, support.mask, support.prior)

    def score(self, state: HeadWeights, x: Items) -> Scores:
        return vmap(_head, in_dims=(0, None if x.ndim == 2 else 0))(state, x)

    def _descend(self, x: Tensor, y: Tensor, mask: Tensor, prior: Tensor, catalogue: Catalogue) -> HeadWeights:
        """A few gradient steps on one task: (S, D), (S,), (S,), (D,) -> its own weights."""
        weights: HeadWeights = {**self.head, "prior": prior}
        for _ in range(self.inner_steps):
            own = {name: weights[name] for name in self.adapted}
            slope = grad(
                lambda own, w=weights: self.objective(lambda x: _head({**w, **own}, x), x, y, mask, catalogue)
            )(own)
            if self.first_order:
                slope = {name: g.detach() for name, g in slope.items()}
            weights = {**weights, **{name: w - self.log_rate[name].exp() * slope[name] for name, w in own.items()}}
        return weights


def _head(weights: HeadWeights, x: Tensor) -> Tensor:
    """One task's scores: (N, D) -> (N,)."""
    z = torch.tanh(x @ weights["represent"] + weights["bend"])
    z = torch.tanh(z @ weights["hidden"] + weights["offset"])
    return z @ weights["output"] + x @ weights["prior"]
