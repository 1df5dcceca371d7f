"""In-context set encoder: one forward pass reads the support set and writes the task's weights.

After Deep Sets (Zaheer et al., NeurIPS 2017) and conditional neural processes (Garnelo et al., ICML
2018).

**Deviations.** The decoder is a product of item and task weights, so that a whole catalogue costs
one matrix product; for those of the pooling see `pool`.
"""

from warmstart.learners.base import CandidateSet, Items, Learner, Scores, Support, Weights, project
from warmstart.learners.blocks.set_encoder import SetEncoder


class InContext(Learner):
    """This amortises adaptation: its state is the task's weights, read off the support set by a
    small network.
    """

    def __init__(
        self,
        dim: int,
        *,
        objective: str = "ranking",
        hidden: int = 128,
        width: int = 64,
        dropout: float = 0.1,
    ) -> None:
        super().__init__(objective=objective)
        self.read = SetEncoder(dim, hidden=hidden, width=width, dropout=dropout)

    def adapt(self, support: Support, catalogue: CandidateSet) -> Weights:
        return support.prior + self.read(support)

    def score(self, state: Weights, x: Items) -> Scores:
        return project(x, state)
