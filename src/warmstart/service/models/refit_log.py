"""Refits: what came of them, as it stands beside the versions."""

import json
from pathlib import Path
from typing import Any

REPORT = "refits.jsonl"  # a line for each


def reports(models: Path) -> list[dict[str, Any]]:
    """What came of each refit, the latest last."""
    try:
        lines = (models / REPORT).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    return [json.loads(line) for line in lines]
