"""The rows without which a comparison says nothing: tuned baselines, and transfer learning."""

from warmstart.tasks.tasks import Objective

RANKING = ("popularity", "item-knn", "ease", "als", "fine-tune")
BY_SCENARIO: dict[str, tuple[str, ...]] = {
    "item": ("popularity", "item-knn", "ease", "als", "profile-knn", "profile-als", "fine-tune"),
    "session": ("popularity", "item-knn", "session-knn", "gru4rec", "fine-tune"),
    "cross-domain": ("popularity", "item-knn", "session-knn", "ease", "als", "bridge", "fine-tune"),
}


def required_baselines(objective: Objective, scenario: str) -> tuple[str, ...]:
    """Names of the learners that every report of a scenario holds."""
    return ("bias", "fine-tune") if objective == "rating" else BY_SCENARIO.get(scenario, RANKING)
