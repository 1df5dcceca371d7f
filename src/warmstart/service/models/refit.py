"""Refit: a new version learned from what the store holds, promoted only if it is no worse than the
one in use.

Both are judged on the validation users of the new version. Who that is follows from their ids, so
the version in use has not learned from them either, but for a few.
"""

import json
import logging
import os
import shutil
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Float32, Int64

from warmstart.data.interactions import Interactions
from warmstart.errors import WarmstartError
from warmstart.evaluation.validation import overall, quality
from warmstart.recommend.fit import fit
from warmstart.recommend.recommender import Recommender, load
from warmstart.scorer import (
    Candidates,
    Capabilities,
    Scorer,
    Scores,
    State,
    candidates_of,
    delegate,
)
from warmstart.service.models.refit_log import REPORT
from warmstart.service.models.versions import Versions
from warmstart.service.store.exchange import stored_log
from warmstart.service.store.store import opened_store
from warmstart.tasks.cutting import DEPLOY
from warmstart.tasks.examples import Examples, Profile
from warmstart.tasks.scenarios import ScenarioOptions, cut
from warmstart.training.outer_loop import Progress

LOG = logging.getLogger(__name__)
KEPT = 5  # versions that stay, beside the one in use and the one before
PARENT = "WARMSTART_REFIT_PARENT"  # the variable with the process that a refit is for
LOOK = 5.0  # seconds until it is looked whether the service that a refit is for still runs


@dataclass(frozen=True)
class RefitResult:
    """What came of a refit."""

    version: str
    time: float
    """Seconds since 1970."""
    events: int
    seconds: float
    new: float
    """The mean quality over the numbers of shots on validation users: nDCG@10, or minus the mean
    absolute error.
    """
    current: float
    """The same of the version in use."""
    promoted: bool


class RecodedScorer:
    """A model as it serves, which is asked by the codes of another catalogue; what it does not know
    it ranks last.
    """

    def __init__(self, scorer: Scorer, code: Int64[np.ndarray, "I"]) -> None:
        self.scorer, self.code, self.items = scorer, code, len(code)

    def adapt(self, support: Examples, profile: Profile = None) -> State:
        known = support.where(self.code[support.item] >= 0)
        return self.scorer.adapt(Examples(self.code[known.item], known.value, known.offsets), None)

    def score(self, state: State, items: Candidates) -> Scores:
        known = np.flatnonzero(self.code >= 0)
        own: Float32[np.ndarray, "T K"] = self.scorer.score(state, self.code[known])
        found = np.full(
            (len(own), self.items), own.min() - 1 if own.size else 0.0, dtype=np.float32
        )
        found[:, known] = own
        return candidates_of(found, items)

    @property
    def capabilities(self) -> Capabilities:
        """Samples of the state, which is that of the scorer itself, and the scorer by shots."""
        found = self.scorer.capabilities
        return Capabilities(posterior=found.posterior, delegate=found.delegate and self._delegate)

    def _delegate(self, shots: int) -> Scorer:
        return RecodedScorer(delegate(self.scorer, shots), self.code)

    def arrays(self) -> dict[str, np.ndarray]:
        return self.scorer.arrays()


def refit(
    models: Path,
    store: str,
    *,
    learner: str | None = None,
    budget: str = "10m",
    seed: int = 0,
    progress: Progress | None = None,
) -> RefitResult:
    """Fit a new version to the store, by the learner of the one in use if no other is named, and
    promote the better.
    """
    versions, begun = Versions(models), time.time()
    versions.require_folder_of_versions()
    serving = versions.current
    current = load(versions.path(serving))
    with opened_store(store) as found:
        log = stored_log(found)
    options = current.facts["options"]
    how = {
        "scenario": current.facts["scenario"],
        "options": ScenarioOptions(**{**options, "sources": tuple(options["sources"])}),
        "seed": seed,
    }
    name = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    new = fit(
        log,
        learner=learner or current.learner,
        objective=current.objective,
        budget=budget,
        progress=progress,
        **how,
    )
    valid = cut(log, how["scenario"], seed=seed, shares=DEPLOY, options=how["options"]).valid
    valid = replace(
        valid, profile=None
    )  # each version reads profiles in its own way, so both are judged without
    scores = [
        overall(quality(one, valid, new.objective))
        for one in (new.scorer, _as_it_serves(current, log))
    ]
    new.save(models / name)
    better = scores[0] >= scores[1]
    if better:
        versions.promote(name, instead_of=serving)
    outcome = RefitResult(name, begun, len(log), time.time() - begun, *scores, promoted=better)
    with (models / REPORT).open("a", encoding="utf-8") as file:
        file.write(json.dumps(vars(outcome)) + "\n")
    _remove_old_versions(versions)
    return outcome


def refit_every(seconds: float, models: Path, store: str, **options: Any) -> None:
    """Refit again and again, until the process that asked for it ends; what goes wrong once is
    logged.
    """
    # told by the service, which may have ended while this process was still importing
    parent = int(os.environ.get(PARENT, os.getppid()))
    os.nice(10)  # requests come first
    while True:
        end = time.monotonic() + seconds
        while os.getppid() == parent and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, LOOK))
        if os.getppid() != parent:
            return
        try:
            outcome = refit(models, store, **options)
            LOG.info(
                "refitted %s, promoted: %s",
                outcome.version,
                outcome.promoted,
                extra={"facts": vars(outcome)},
            )
        except WarmstartError as error:
            LOG.warning("no refit: %s", error)
        except Exception:  # whatever went wrong once, the next refit is tried
            LOG.exception("a refit failed")


def _as_it_serves(current: Recommender, log: Interactions) -> Scorer:
    """The version in use, with the items that came since as the service adds them, asked by the
    codes of the log.
    """
    ids = log.items.ids.cast(current.items.ids.dtype)
    new = ids.filter(~ids.is_in(current.items.ids.implode()))
    if len(new) and current.item_table is not None and log.item_table is not None:
        rows = log.item_table[log.items.encode(new.to_list())]
        current = current.add_items(
            pl.DataFrame({"item_id": new}).hstack(rows.drop("item_id", strict=False))
        )
    return RecodedScorer(current.scorer, current.items.encode(log.items.ids.to_list()))


def _remove_old_versions(versions: Versions) -> None:
    """Remove the oldest versions, but never the one in use or the one before."""
    used = {versions.current, *([versions.previous] if versions.was_promoted else [])}
    old = [path for path in versions.paths() if path.name not in used]
    for path in old[: max(0, len(old) - KEPT)]:
        shutil.rmtree(path)
