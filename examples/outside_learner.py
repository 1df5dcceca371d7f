"""A learner of your own in twenty-five lines: fitted, saved, loaded, served.

python examples/outside_learner.py                          # fits, saves to ./models/1, loads
cd examples && warmstart fit DATA --learner outside_learner:Average --out models/1
cd examples && warmstart serve models
"""

import sys

import torch
from torch import Tensor, nn

import warmstart as ws
from warmstart.learners import CandidateSet, Learner, Support
from warmstart.testing import check_learner


class Average(Learner):
    """Moves the prior weights towards the mean of the items of the support set."""

    def __init__(self, dim: int, *, objective: str = "ranking", pseudo_count: float = 2.0) -> None:
        super().__init__(objective=objective)
        self.strength = nn.Parameter(torch.ones(dim))
        self.pseudo_count = pseudo_count

    def adapt(self, support: Support, candidates: CandidateSet) -> Tensor:
        rows = support.x.masked_fill(~support.mask.unsqueeze(-1), 0.0)  # padding counts nothing
        count = support.mask.sum(dim=1, keepdim=True)
        return support.prior + self.strength * rows.sum(dim=1) / (count + self.pseudo_count)

    def score(self, state: Tensor, x: Tensor) -> Tensor:
        return state @ x.mT if x.ndim == 2 else (x @ state.unsqueeze(-1)).squeeze(-1)


def main(steps: int = 200) -> None:
    check_learner(Average)
    data = ws.synthetic_shop()
    model = ws.fit(data, learner=Average, settings={"steps": steps})
    model.save("models/1")
    history = data.items.ids.to_list()[:2]
    for item in ws.load("models/1").recommend(history, 3).items:
        print(item.item, item.title, round(item.score, 2))


if __name__ == "__main__":
    # by its module's name, under which a saved model looks for the class again
    from outside_learner import main as run

    run(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
