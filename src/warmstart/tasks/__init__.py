"""Support, query and episodes: how a log becomes tasks to learn from and to be tested on."""

from warmstart.tasks.examples import Examples, Padded, Profile
from warmstart.tasks.scenarios import SCENARIOS, Scenario, ScenarioOptions
from warmstart.tasks.split import Split
from warmstart.tasks.tasks import QuerySpec, TaskBatch, Tasks

__all__ = [
    "SCENARIOS",
    "Examples",
    "Padded",
    "Profile",
    "QuerySpec",
    "Scenario",
    "ScenarioOptions",
    "Split",
    "TaskBatch",
    "Tasks",
]
