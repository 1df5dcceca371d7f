"""Schedule: how long, how fast and on which episodes to train."""

from dataclasses import dataclass, replace

from warmstart.tasks.tasks import Tasks


@dataclass(frozen=True)
class Schedule:
    """How long, how fast and on which episodes to train; chosen on validation figures."""

    steps: int = 1500
    tasks: int = 128
    rate: float = 6e-3
    weight_decay: float = 1e-4
    most_shots: int = 30
    queries: int = 100
    validate_every: int = 100
    patience: int = 8
    """Validations without a better one after which training stops."""
    passes: int = 0
    """Times that as many tasks are drawn as there are, after which training ends before `steps`; 0:
    no such end.
    """

    def on(self, tasks: Tasks) -> "Schedule":
        """The schedule on these tasks."""
        if not self.passes:
            return self
        return replace(self, steps=max(1, min(self.steps, self.passes * len(tasks) // self.tasks)))
