"""Versions: the models in a folder, and which of them is to answer; nothing is loaded to find that
out.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from warmstart.errors import NotFitted, UnknownItem, UsageError
from warmstart.recommend.model_folder import MANIFEST

CURRENT, BEFORE = "current", "before"


@dataclass(frozen=True)
class Versions:
    """A folder of models; a folder that is a model itself has one version, which is called like the
    folder.

    The name of the version in use stands in a file, which is replaced whole.
    """

    folder: Path

    @property
    def is_single_model(self) -> bool:
        """Whether the folder is a model itself."""
        return (self.folder / MANIFEST).exists()

    @property
    def current(self) -> str:
        """The version in use; the newest where none was promoted."""
        if self.is_single_model:
            return self.folder.absolute().name
        named = self._named(CURRENT)
        if named is not None:
            return named
        paths = self.paths()
        if not paths:
            raise NotFitted(
                f"{self.folder} holds no model; make one with warmstart fit DATA --out "
                f"{self.folder}/1"
            )
        return paths[-1].name

    @property
    def was_promoted(self) -> bool:
        """Whether a version took the place of another."""
        return self._named(BEFORE) is not None

    @property
    def previous(self) -> str:
        """The version in use before the last promotion."""
        named = self._named(BEFORE)
        if named is None:
            raise UsageError("nothing was promoted yet, so there is nothing to go back to")
        return named

    @property
    def stamp(self) -> int:
        """When the name of the version in use was written; 0 where it was not."""
        try:
            return os.stat(self.folder / CURRENT).st_mtime_ns
        except FileNotFoundError:
            return 0

    def require_folder_of_versions(self) -> None:
        """Refuse a folder that is a model itself."""
        if self.is_single_model:
            raise UsageError(
                f"{self.folder} is one model; name a folder of versions, as models of models/1"
            )

    def paths(self) -> list[Path]:
        """The folders of all versions, the newest last."""
        if self.is_single_model:
            return [self.folder]
        found = (
            [path for path in self.folder.iterdir() if (path / MANIFEST).exists()]
            if self.folder.is_dir()
            else []
        )
        return sorted(found, key=lambda path: (path / MANIFEST).stat().st_mtime_ns)

    def path(self, version: str) -> Path:
        """The folder of a version."""
        if version not in [path.absolute().name for path in self.paths()]:
            raise UnknownItem(f'there is no version "{version}" in {self.folder}')
        return self.folder if self.is_single_model else self.folder / version

    def manifest(self, version: str) -> dict[str, Any]:
        """What a version says of itself."""
        path = self.path(version) / MANIFEST
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise NotFitted(
                f"{path} cannot be read ({error}); restore it, or remove the version"
            ) from None

    def promote(self, version: str, instead_of: str) -> None:
        """Write down that a version is in use from now on."""
        self.require_folder_of_versions()
        _write(self.folder / BEFORE, instead_of)
        _write(self.folder / CURRENT, version)

    def _named(self, name: str) -> str | None:
        try:
            return (self.folder / name).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None


def _write(path: Path, text: str) -> None:
    """Replace a small file whole."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(text, encoding="utf-8")
    os.replace(beside, path)
