"""Where and how figures were measured: commit, versions, machine, threads, command, date, data."""

import hashlib
import json
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil
import torch

PACKAGES = ("warmstart", "torch", "numpy", "scipy", "scikit-learn", "implicit", "polars")
HERE = Path(__file__).parent
CHUNK = 2**20  # bytes


def write_result(
    path: Path | None, result: Mapping[str, Any], data: Iterable[Path] = (), *, indent: int = 1
) -> None:
    """Write the result of a benchmark as JSON with its environment; without a path do nothing.

    `data` are the folders of the data sets, which are named with the SHA-256 of their files.
    """
    if path is None:
        return
    found = {**result, "environment": environment(data)}
    path.write_text(json.dumps(found, indent=indent, allow_nan=False) + "\n", encoding="utf-8")


def environment(data: Iterable[Path] = ()) -> dict[str, Any]:
    """What one has to know to measure the same again."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shlex.join(["python", *sys.argv]),
        "commit": _commit(),
        "versions": {"python": platform.python_version(), **_versions()},
        "machine": {
            "processor": _processor(),
            "cores": os.cpu_count(),
            "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
            "system": platform.platform(),
        },
        "threads": {
            "torch": torch.get_num_threads(),
            "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS"),
        },
        "data": {folder.name: fingerprint(folder) for folder in data},
    }


def fingerprint(folder: Path) -> str:
    """SHA-256 of the names and the bytes of all files of a folder, or of one file."""
    digest = hashlib.sha256()
    files = [folder] if folder.is_file() else sorted(folder.rglob("*"))
    for path in files:
        if not path.is_file():
            continue
        digest.update(path.relative_to(folder.parent).as_posix().encode() + b"\0")
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                digest.update(chunk)
    return digest.hexdigest()


def _commit() -> str | None:
    """The commit of the code, with a "+" if files differ from it; None outside a repository."""
    head = _git("rev-parse", "HEAD")
    changed = _git("status", "--porcelain", "--untracked-files=no")
    return None if head is None else head + ("+" if changed else "")


def _git(*arguments: str) -> str | None:
    command = ["git", "-C", str(HERE), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def _versions() -> dict[str, str]:
    found: dict[str, str] = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _processor() -> str:
    """The model of the processor; `platform.processor` is empty on most Linux systems."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.processor() or platform.machine())
