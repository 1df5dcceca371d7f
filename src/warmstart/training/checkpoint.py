"""Checkpoints of a training run: written whole or not at all, and refused by any other run."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.optim import Optimizer

from warmstart.arrays import strip_prefix
from warmstart.errors import UsageError

Tensors = Mapping[str, Tensor]


@dataclass(frozen=True)
class Checkpoint:
    """All that a run needs to continue to the same weights.

    Its randomness follows from the step, and is no part of it.
    """

    model: Tensors
    best: Tensors
    """The weights of the best validation so far."""
    optimizer: Mapping[int, Mapping[str, Tensor]]
    """State of each parameter, by its number."""
    step: int
    curve: Mapping[str, Any]
    """The validation curve as JSON has it."""


def identity_of(facts: Sequence[Any], data: bytes) -> str:
    """A digest of all that decides how a run goes; equal for a run that was killed and started
    again.
    """
    return hashlib.sha256(json.dumps(list(facts)).encode() + data).hexdigest()


def save_checkpoint(path: Path, checkpoint: Checkpoint, identity: str) -> None:
    """Write the checkpoint beside its place and rename it, so that it is whole or absent."""
    tensors = {f"model.{name}": tensor for name, tensor in checkpoint.model.items()}
    tensors |= {f"best.{name}": tensor for name, tensor in checkpoint.best.items()}
    tensors |= {
        f"adam.{i}.{name}": value
        for i, entry in checkpoint.optimizer.items()
        for name, value in entry.items()
    }
    facts = {
        "step": str(checkpoint.step),
        "identity": identity,
        "history": json.dumps(checkpoint.curve),
    }
    partial = path.with_suffix(".partial")
    save_file(copied(tensors), partial, metadata=facts)
    partial.replace(path)


def load_checkpoint(path: Path, identity: str) -> Checkpoint:
    """The checkpoint that `save_checkpoint` wrote.

    Raises `UsageError` where it belongs to a run with another identity.
    """
    with safe_open(path, framework="pt") as file:
        tensors, facts = load_file(path), file.metadata()
    if facts["identity"] != identity:
        raise UsageError(
            f"{path} is the checkpoint of a run with another learner, data, settings or seed; "
            "delete it, or write this model to another folder"
        )
    optimizer: dict[int, dict[str, Tensor]] = {}
    for name, value in strip_prefix(tensors, "adam.").items():
        index, _, key = name.partition(".")
        optimizer.setdefault(int(index), {})[key] = value
    return Checkpoint(
        model=strip_prefix(tensors, "model."),
        best=strip_prefix(tensors, "best."),
        optimizer=optimizer,
        step=int(facts["step"]),
        curve=json.loads(facts["history"]),
    )


def restore_optimizer(optimizer: Optimizer, state: Mapping[int, Mapping[str, Tensor]]) -> None:
    """Put the saved state of each parameter into an optimizer of the same parameters."""
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})


def copied(tensors: Tensors) -> dict[str, Tensor]:
    """Contiguous copies that share nothing with the originals."""
    return {name: tensor.detach().clone().contiguous() for name, tensor in tensors.items()}
