"""Training of a recommender's model: the outer loop on episodes of a log's training tasks."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from warmstart.durations import UNLIMITED, Deadline
from warmstart.model.few_shot import FewShot
from warmstart.model.fitted import FittedModel
from warmstart.tasks.tasks import TaskBatch, Tasks
from warmstart.training.outer_loop import Progress, Quality, ValidationCurve, outer_loop
from warmstart.training.schedule import Schedule

Validate = Callable[[FittedModel], Quality]


@dataclass(frozen=True)
class TaskEpisodes:
    """Episodes drawn from the training tasks of a log, as a schedule and a learner want them."""

    tasks: Tasks
    schedule: Schedule
    whole: bool
    """Whether each episode holds all of its task's events, for learners trained on sequences."""

    def draw(self, rng: np.random.Generator) -> TaskBatch:
        schedule = self.schedule
        return self.tasks.episodes(
            rng,
            schedule.tasks,
            max_shots=schedule.most_shots,
            queries=schedule.queries,
            whole_sequences=self.whole,
        )

    def identity(self) -> bytes:
        events = self.tasks.all_events
        return b"".join(column.tobytes() for column in (events.item, events.value, events.offsets))


def train(
    model: FewShot,
    tasks: Tasks,
    validate: Validate,
    *,
    schedule: Schedule,
    seed: int,
    deadline: Deadline = UNLIMITED,
    checkpoint: Path | None = None,
    progress: Progress | None = None,
) -> ValidationCurve:
    """Train a recommender's model on the tasks of a log: `outer_loop` on their episodes.

    `validate` gets the model as a scorer, and says how good that is after each number of shots.
    """
    return outer_loop(
        model,
        TaskEpisodes(tasks, schedule, whole=model.learner.trains_on_sequences),
        lambda model: validate(FittedModel(model)),
        schedule=schedule,
        seed=seed,
        facts=[type(model.learner).__name__, model.learner.is_ranking],
        deadline=deadline,
        checkpoint=checkpoint,
        progress=progress,
    )
