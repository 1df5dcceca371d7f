"""Lists: the items that each of many people is shown, and the chances of each item."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import polars as pl
from jaxtyping import Bool, Float32, Int64

from warmstart.arrays import top_k
from warmstart.data.interactions import Vocabulary
from warmstart.errors import UsageError
from warmstart.model.few_shot import all_item_codes
from warmstart.model.fitted import logsumexp
from warmstart.recommend.exploration import DRAWS, Chosen, Policy, epsilon_greedy, thompson
from warmstart.recommend.filters import Wanted, matching
from warmstart.recommend.request import ParsedRequest, Request, as_batch
from warmstart.scorer import Scorer, State, delegate
from warmstart.tasks.tasks import QuerySpec

EXCLUDED_SCORE = np.float32(-np.inf)


class RankedList(NamedTuple):
    """The items that one person is shown, best first."""

    items: Int64[np.ndarray, "n"]
    scores: Float32[np.ndarray, "I"]
    """Of the whole catalogue."""
    propensity: list[float]
    """The chance that each was shown in its place."""
    probability: list[float | None]
    """The chance that each is next, among all that may be shown; None where the scorer knows
    none.
    """


@dataclass(frozen=True)
class Ranker:
    """What lists are made from: a scorer, and the items that it scores."""

    scorer: Scorer
    items: Vocabulary
    table: pl.DataFrame | None
    candidates: Int64[np.ndarray, "C"] | None
    """The items that may be shown, rising; None where all may."""
    ranks: bool
    """Whether the scores rank events, or are ratings."""

    @property
    def everything(self) -> Int64[np.ndarray, "I"]:
        """The codes of all items."""
        return all_item_codes(len(self.items))

    @cached_property
    def never_shown(self) -> Bool[np.ndarray, "I"] | None:
        """The items that are shown to nobody; None where there are none."""
        return (
            None
            if self.candidates is None
            else QuerySpec(candidates=self.candidates).non_candidates(len(self.items))
        )

    def rank(
        self, requests: Sequence[Request], heard: Sequence[ParsedRequest]
    ) -> tuple[State, list[RankedList]]:
        """What each of T people is shown, of whom all have a profile or none has; and the state
        after them all.
        """
        support, profile = as_batch(heard)
        state = self.scorer.adapt(support, profile)
        scores = self.scorer.score(state, self.everything)
        return state, [self._ranked(*one) for one in zip(requests, heard, scores, strict=True)]

    def excluded(self, request: Request, heard: ParsedRequest) -> Bool[np.ndarray, "I"]:
        """What one person cannot be shown: what is no answer, what was met, what is excluded and
        what is not wanted.
        """
        excluded = (
            np.zeros(len(self.items), dtype=bool)
            if self.never_shown is None
            else self.never_shown.copy()
        )
        excluded[self._codes(request, heard)] = True
        return excluded if request.where is None else excluded | ~self._wanted(request.where)

    def _ranked(
        self, request: Request, heard: ParsedRequest, scores: Float32[np.ndarray, "I"]
    ) -> RankedList:
        excluded = self._codes(request, heard)
        allowed = (
            scores.copy()
            if self.never_shown is None
            else np.where(self.never_shown, EXCLUDED_SCORE, scores)
        )
        allowed[excluded] = EXCLUDED_SCORE
        if request.where is not None:
            allowed[~self._wanted(request.where)] = EXCLUDED_SCORE
        if request.policy is None:
            items = top_k(allowed, min(request.n, len(allowed)))
            items = items[allowed[items] > EXCLUDED_SCORE]
            propensity = [1.0] * len(items)
        else:
            items, chances = self._explored(
                request.policy, heard, scores, allowed == EXCLUDED_SCORE, request.n
            )
            propensity = chances.tolist()
        return RankedList(items, scores, propensity, self._probabilities(heard, allowed, items))

    def _codes(self, request: Request, heard: ParsedRequest) -> Int64[np.ndarray, "_"]:
        """The items that one person has met or does not want."""
        excluded = self.items.encode(request.exclude)
        return np.concatenate(
            [excluded[excluded >= 0], *([] if request.again else [heard.support.item])]
        )

    def _wanted(self, where: Wanted | Bool[np.ndarray, "I"]) -> Bool[np.ndarray, "I"]:
        return where if isinstance(where, np.ndarray) else matching(self.table, where)

    def _explored(
        self, policy: Policy, heard: ParsedRequest, scores: np.ndarray, excluded: np.ndarray, n: int
    ) -> Chosen:
        rng = np.random.default_rng(policy.seed)
        if policy.strategy == "epsilon-greedy":
            return epsilon_greedy(scores, excluded, n, policy.epsilon, rng)
        return self._sampled(policy, heard, excluded, n, rng)

    def _sampled(
        self,
        policy: Policy,
        heard: ParsedRequest,
        excluded: Bool[np.ndarray, "I"],
        n: int,
        rng: np.random.Generator,
    ) -> Chosen:
        scorer = delegate(self.scorer, len(heard.support.item))
        posterior = scorer.capabilities.posterior
        if posterior is None:
            raise UsageError(
                f"this model knows not how unsure it is, as {policy.strategy} needs it; use "
                "epsilon-greedy"
            )
        state = scorer.adapt(*as_batch([heard]))
        draws = [
            scorer.score(posterior.sample(state, rng), self.everything)[0] for _ in range(DRAWS)
        ]
        return thompson(np.stack(draws), excluded, n)

    def _probabilities(
        self, heard: ParsedRequest, allowed: Float32[np.ndarray, "I"], items: np.ndarray
    ) -> list[float | None]:
        """The chance that each item is next, where the scores are those of a softmax."""
        scorer = delegate(self.scorer, len(heard.support.item))
        if not (self.ranks and len(items) and scorer.capabilities.log_probabilities):
            return [None] * len(items)
        return np.exp(allowed[items] - logsumexp(allowed)).tolist()
