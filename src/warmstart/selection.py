"""Selection: which learner suits the data, by a race on the validation tasks within a time budget."""

import time
from dataclasses import replace

from warmstart.errors import Misuse
from warmstart.recipes import RECIPES, fit
from warmstart.tuning import Fitted, Order
from warmstart.validation import overall

ENTRANTS = ("popularity", "bias", "item-knn", "als", "ease", "in-context")
"""Cheap ones first: when time is short, something has always been fitted."""


def select(order: Order, *, entrants: tuple[str, ...] = ENTRANTS) -> Fitted:
    """The entrant with the best mean quality over all numbers of shots; each may take what is left of the budget."""
    if order.settings:
        raise Misuse("settings belong to one learner; name it instead of leaving the choice open")
    able = [name for name in entrants if order.objective in RECIPES[name].objectives]
    begun = time.monotonic()
    best: Fitted | None = None
    for name in able:
        left = None if order.seconds is None else order.seconds - (time.monotonic() - begun)
        if best is not None and left is not None and left <= 0:
            break
        fitted = fit(name, replace(order, seconds=left))
        if best is None or overall(fitted.valid) > overall(best.valid):
            best = fitted
    assert best is not None, "popularity or bias can always enter"
    return best
