"""A model on disk: JSON, safetensors, NumPy arrays and Parquet, each with its checksum, and nothing
executable.
"""

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from safetensors.numpy import load_file, save_file

from warmstart.arrays import aligned
from warmstart.errors import NotFitted, UsageError

FORMAT = 5
MANIFEST, WEIGHTS, ITEMS = "model.json", "weights.safetensors", "vocabulary/items.parquet"
LARGE = 1_000_000
"""Bytes from which an array is a file of its own, which is mapped into memory instead of read."""
ARRAYS = "arrays"
"""The folder of these files; each is named by its place in the manifest's list `large`."""
PICKLED = {".pkl", ".pickle", ".pt", ".pth", ".joblib", ".bin", ".ckpt"}


class ModelFiles(NamedTuple):
    """What a model folder holds."""

    manifest: dict[str, Any]
    arrays: dict[str, np.ndarray]
    items: pl.DataFrame


def write(folder: Path, parts: ModelFiles) -> None:
    """Write the parts whole or not at all; a model that stands there is replaced, anything else is
    left alone.
    """
    if folder.is_file() or (
        folder.is_dir() and any(folder.iterdir()) and not (folder / MANIFEST).exists()
    ):
        raise UsageError(f"{folder} exists and is no model folder; name another place")
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    (partial / ITEMS).parent.mkdir(parents=True)
    parts.items.write_parquet(partial / ITEMS)
    arrays = {name: np.ascontiguousarray(array) for name, array in parts.arrays.items()}
    large = sorted(name for name, array in arrays.items() if array.nbytes >= LARGE)
    save_file(
        {name: array for name, array in arrays.items() if name not in large}, partial / WEIGHTS
    )
    files = [_file_of(place) for place in range(len(large))]
    for name, file in zip(large, files, strict=True):
        (partial / file).parent.mkdir(exist_ok=True)
        np.save(partial / file, arrays[name], allow_pickle=False)
    manifest = {
        "format": FORMAT,
        **parts.manifest,
        "large": large,
        "checksums": {name: _digest_of(partial / name) for name in (WEIGHTS, ITEMS, *files)},
    }
    text = json.dumps({**manifest, "checksum": _own_digest(manifest)}, indent=2)
    (partial / MANIFEST).write_text(text + "\n", encoding="utf-8")
    if folder.exists():
        shutil.rmtree(folder)
    partial.rename(folder)


def read(folder: Path) -> ModelFiles:
    """The parts that `write` wrote; a damaged, altered, unknown or pickled folder is refused.

    Large arrays are mapped into memory and not read: all processes that serve a model share one
    copy of them. All are aligned, so that a loaded model scores like the fitted one to the last
    bit.
    """
    manifest = verify(folder)
    arrays = {name: aligned(array) for name, array in load_file(folder / WEIGHTS).items()}
    for place, name in enumerate(manifest["large"]):
        arrays[name] = aligned(
            np.asarray(np.load(folder / _file_of(place), mmap_mode="c", allow_pickle=False))
        )
    return ModelFiles(manifest, arrays, pl.read_parquet(folder / ITEMS))


def verify(folder: Path) -> dict[str, Any]:
    """The manifest, once every file is shown to be what was saved."""
    if not folder.is_dir():
        raise NotFitted(
            f"{folder}: no such model folder; make one with `warmstart fit DATA --out {folder}`"
        )
    foreign = [path.name for path in folder.rglob("*") if path.suffix in PICKLED]
    if foreign:
        raise NotFitted(
            f"{folder} holds {foreign[0]}, which may be a pickle and could run code; it is not "
            "loaded"
        )
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise NotFitted(f"{folder} has no {MANIFEST}, so it is no model; fit it again") from None
    except (ValueError, OSError) as error:
        raise NotFitted(
            f"{folder / MANIFEST} cannot be read ({error}); fit the model again"
        ) from None
    found = manifest.get("format") if isinstance(manifest, dict) else None
    if found != FORMAT:
        raise NotFitted(
            f"{folder} has format {found}, this version reads format {FORMAT}; update "
            "warmstart or fit again"
        )
    if manifest.pop("checksum", None) != _own_digest(manifest):
        raise NotFitted(
            f"{folder / MANIFEST} was altered after it was saved; restore it or fit again"
        )
    for name, digest in manifest["checksums"].items():
        if not (folder / name).is_file():
            raise NotFitted(f"{folder / name} is missing; restore it or fit again")
        if _digest_of(folder / name) != digest:
            raise NotFitted(
                f"{folder / name} was altered or cut short after it was saved; restore it or "
                "fit again"
            )
    return manifest


def _file_of(place: int) -> str:
    return f"{ARRAYS}/{place}.npy"


def _own_digest(manifest: Mapping[str, Any]) -> str:
    return _digest(json.dumps(manifest, sort_keys=True).encode())


def _digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
