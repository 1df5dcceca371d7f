"""In-context set encoder: one forward pass reads the support set and writes the task's weights.

After Deep Sets (Zaheer et al., NeurIPS 2017) and conditional neural processes (Garnelo et al., ICML
2018).

**Deviations.** The decoder is a product of item and task weights, so that a whole catalogue costs
one matrix product; for those of the pooling see `blocks.set_encoder`.
"""

from warmstart.learners.base import Items, Learner, Scores, Support, Weights, project
from warmstart.learners.blocks.set_encoder import SetEncoder
from warmstart.learners.objectives import CandidateSet


class InContext(Learner):
    """Amortised adaptation: a set encoder's output, added to the prior, is the task's weights."""

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

    def adapt(self, support: Support, candidates: CandidateSet) -> Weights:
        return support.prior + self.read(support)

    def score(self, state: Weights, x: Items) -> Scores:
        return project(x, state)
