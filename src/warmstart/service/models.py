"""Models: the versions in a folder, which of them answers, and how that changes while requests go on."""

import json
import logging
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from warmstart.errors import Misuse, NotFitted, UnknownItem, WarmstartError
from warmstart.recommender import Recommender, load

LOG = logging.getLogger(__name__)
MANIFEST, CURRENT, BEFORE = "model.json", "current", "before"


@dataclass(frozen=True)
class Serving:
    """The model that answers."""

    version: str
    model: Recommender


class Models:
    """This holds the model in use; a folder of one model is a folder with one version.

    The name of the version in use stands in a file, which is replaced whole. All workers look at it, so that what one
    of them is told holds for all. A request keeps the model that it began with.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.alone = folder, (folder / MANIFEST).exists()
        self._lock = threading.Lock()
        self._seen = self._stamp()
        self._serving = self._loaded(self._named())

    @property
    def serving(self) -> Serving:
        """The model in use, looked up anew if another was promoted since."""
        if self._stamp() != self._seen:
            self._follow()
        return self._serving

    def versions(self) -> list[dict[str, Any]]:
        """All versions, the newest last, with where each comes from."""
        return [
            {"version": path.name, "current": path.name == self.serving.version, **_facts(path)}
            for path in self._paths()
        ]

    def promote(self, version: str) -> str:
        """Let a version answer from now on; what answered before can be had again by `rollback`."""
        if self.alone:
            raise Misuse("this folder is one model; serve a folder of versions to promote one of them")
        if version not in [path.name for path in self._paths()]:
            raise UnknownItem(f'there is no version "{version}" in {self.folder}')
        with self._lock:
            found = self._loaded(version)  # before anything changes: a damaged one is refused
            _write(self.folder / BEFORE, self._serving.version)
            _write(self.folder / CURRENT, version)
            self._serving, self._seen = found, self._stamp()
        return version

    def rollback(self) -> str:
        """Let the version answer that did before the last promotion."""
        if not (self.folder / BEFORE).exists():
            raise Misuse("nothing was promoted yet, so there is nothing to go back to")
        return self.promote((self.folder / BEFORE).read_text(encoding="utf-8"))

    def _follow(self) -> None:
        """Take over what another worker promoted; if it cannot be loaded, what is there goes on."""
        with self._lock:
            stamp = self._stamp()
            if stamp == self._seen:
                return
            self._seen = stamp
            try:
                self._serving = self._loaded(self._named())
            except WarmstartError:
                LOG.exception("the promoted model cannot be loaded; %s goes on answering", self._serving.version)

    def _named(self) -> str:
        """The version in use; the newest where none was promoted."""
        if self.alone:
            return self.folder.name
        if (self.folder / CURRENT).exists():
            return (self.folder / CURRENT).read_text(encoding="utf-8")
        paths = self._paths()
        if not paths:
            raise NotFitted(f"{self.folder} holds no model; make one with warmstart fit DATA --out {self.folder}/1")
        return paths[-1].name

    def _loaded(self, version: str) -> Serving:
        return Serving(version, load(self.folder if self.alone else self.folder / version))

    def _paths(self) -> list[Path]:
        if self.alone:
            return [self.folder]
        found = [path for path in self.folder.iterdir() if (path / MANIFEST).exists()] if self.folder.is_dir() else []
        return sorted(found, key=lambda path: (path / MANIFEST).stat().st_mtime_ns)

    def _stamp(self) -> int:
        """When the name of the version in use was written; 0 where it was not."""
        try:
            return os.stat(self.folder / CURRENT).st_mtime_ns
        except FileNotFoundError:
            return 0


def _facts(path: Path) -> dict[str, Any]:
    manifest = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
    return {name: manifest.get(name) for name in ("learner", "objective", "facts")}


def _write(path: Path, text: str) -> None:
    """Replace a small file whole."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(text, encoding="utf-8")
    os.replace(beside, path)
