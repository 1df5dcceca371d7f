"""Recipe "auto": a search over learners and settings, whose result may switch by shots."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from warmstart.ensemble.switching import ShotSwitch, arrays_of_scorer
from warmstart.scorer import Scorer
from warmstart.tasks.tasks import Objective
from warmstart.training.requests import Arrays, FitRequest, Fitted, Role, Settings
from warmstart.training.search import Fit, search


@dataclass(frozen=True)
class AutoRecipe:
    """Chooses among the other recipes, by whose functions it fits and restores its members."""

    fit_member: Fit
    restore_member: Callable[[str, Arrays, Settings], Scorer]
    objectives: tuple[Objective, ...] = ("ranking", "rating")
    kind: Role = "meta"

    @property
    def options(self) -> Mapping[str, Any]:
        """Settings belong to one learner; a choice among learners has none."""
        return {}

    def fit(self, name: str, request: FitRequest) -> Fitted:
        """The chosen scorer; its facts say why it was chosen, and what else was tried."""
        result = search(request, fit=self.fit_member)
        return replace(result.fitted, facts={"choice": result.summary, "race": result.to_list()})

    def restore(self, arrays: Arrays, settings: Settings) -> Scorer:
        """The switch among several learners that the search ended with."""
        members = settings["members"]
        scorers = [
            self.restore_member(one["learner"], arrays_of_scorer(arrays, i), one["settings"])
            for i, one in enumerate(members)
        ]
        return ShotSwitch(scorers, [one["first"] for one in members])
