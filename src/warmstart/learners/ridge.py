"""Ridge head: the task's weights in closed form, on vectors meta-learned for it (Bertinetto et al., ICLR 2019).

**Deviations.** The solution is regularised towards the task's prior instead of zero. Without ratings the catalogue
counts as weak evidence of no interest, as in implicit-feedback ALS (Hu et al., ICDM 2008), with a learned weight.
The strength of the solution is a learned scale, since a softmax has no natural unit.
"""

import torch
from torch import Tensor, nn

from warmstart.learner import Catalogue, Items, Learner, Scores, Support, Weights, project


class Ridge(Learner):
    """This solves one small linear system a task; its state is the solution."""

    def __init__(self, dim: int, *, objective: str = "ranking", l2: float = 1.0, gain: float = 4.0) -> None:
        super().__init__(objective=objective)
        self.log_l2 = nn.Parameter(torch.tensor(l2).log())
        self.log_gain = nn.Parameter(torch.tensor(gain if self.ranks else 1.0).log())
        self.log_absent = nn.Parameter(torch.tensor(1.0).log()) if self.ranks else None

    def adapt(self, support: Support, catalogue: Catalogue) -> Weights:
        x = torch.where(support.mask.unsqueeze(-1), support.x, 0.0)
        precision = self.log_l2.exp() * torch.eye(x.shape[-1], dtype=x.dtype, device=x.device) + x.mT @ x  # (T, D, D)
        if self.log_absent is not None:
            precision = precision + self.log_absent.exp() * _second_moment(catalogue)
        evidence = x.mT @ self._surprise(support).unsqueeze(-1)  # (T, D, 1)
        return support.prior + self.log_gain.exp() * torch.linalg.solve(precision, evidence).squeeze(-1)

    def score(self, state: Weights, x: Items) -> Scores:
        return project(x, state)

    def _surprise(self, support: Support) -> Tensor:
        """What the prior did not expect: an event (ranking), or the rest of a rating."""
        return support.y if self.ranks else support.y - project(support.x, support.prior)


def _second_moment(catalogue: Catalogue) -> Tensor:
    share = catalogue.log_weight.softmax(dim=0)
    return (catalogue.x * share.unsqueeze(-1)).mT @ catalogue.x
