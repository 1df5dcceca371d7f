"""Models: the model that answers, and how another one takes its place while requests go on."""

import logging
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from warmstart.errors import WarmstartError
from warmstart.recommend.model_folder import MANIFEST
from warmstart.recommend.recommender import Recommender, load
from warmstart.service.models.versions import Versions

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class ServedModel:
    """The model that answers."""

    version: str
    model: Recommender
    saved: float | None = None
    """When it was saved, in seconds since 1970."""


class ActiveModel:
    """This holds the model in use. A request keeps the model that it began with.

    All workers look at the name of the version in use, so that what one of them is told holds for
    all.
    """

    def __init__(self, folder: Path) -> None:
        self.versions = Versions(folder)
        self._lock = threading.Lock()
        self._seen = self.versions.stamp
        self._serving = self._loaded(self.versions.current)

    @property
    def serving(self) -> ServedModel:
        """The model in use, looked up anew if another was promoted since."""
        if self.versions.stamp != self._seen:
            self._follow()
        return self._serving

    def listed(self) -> list[dict[str, Any]]:
        """All versions, the newest last, with where each comes from."""
        names = [path.absolute().name for path in self.versions.paths()]
        return [
            {"version": name, "current": name == self._serving.version, **self._facts(name)}
            for name in names
        ]

    def report(self, version: str) -> dict[str, Any]:
        """How good a version is by the number of known events, as it was found when the version was
        made.

        `report` compares it with the classics on test users; where that was not asked for it is
        null, and `race` and `valid` say what was found on validation.
        """
        manifest = self.versions.manifest(version)
        facts = manifest["facts"]
        found = {name: facts.get(name) for name in ("report", "race", "valid_quality", "scenario")}
        return {
            "version": version,
            "learner": manifest["learner"],
            "objective": manifest["objective"],
            **found,
        }

    def promote(self, version: str) -> str:
        """Let a version answer from now on; what answered before can be had again by `rollback`."""
        self.versions.path(version)
        with self._lock:
            found = self._loaded(version)  # before anything changes: a damaged one is refused
            self.versions.promote(version, instead_of=self._serving.version)
            self._serving, self._seen = found, self.versions.stamp
        return version

    def rollback(self) -> str:
        """Let the version answer that did before the last promotion."""
        return self.promote(self.versions.previous)

    def _follow(self) -> None:
        """Take over what another worker promoted; if it cannot be loaded, what is there goes on."""
        with self._lock:
            stamp = self.versions.stamp
            if stamp == self._seen:
                return
            self._seen = stamp
            try:
                self._serving = self._loaded(self.versions.current)
            except WarmstartError:
                LOG.exception(
                    "the promoted model cannot be loaded; %s goes on answering",
                    self._serving.version,
                )

    def _loaded(self, version: str) -> ServedModel:
        path = self.versions.path(version)
        return ServedModel(version, load(path), (path / MANIFEST).stat().st_mtime)

    def _facts(self, version: str) -> dict[str, Any]:
        manifest = self.versions.manifest(version)
        facts = {
            name: value
            for name, value in manifest["facts"].items()
            if name not in ("report", "race")
        }
        saved = (self.versions.path(version) / MANIFEST).stat().st_mtime
        return {
            "learner": manifest["learner"],
            "objective": manifest["objective"],
            "saved": saved,
            "facts": facts,
        }
