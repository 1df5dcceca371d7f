"""The rows without which a comparison says nothing: tuned baselines, and transfer learning."""

from warmstart.tasks.scenarios import scenario_of
from warmstart.tasks.tasks import Objective


def required_baselines(objective: Objective, scenario: str) -> tuple[str, ...]:
    """Names of the learners that every report of a scenario holds."""
    if objective == "rating":
        return ("bias", "fine-tune")
    return scenario_of(scenario).required_baselines
