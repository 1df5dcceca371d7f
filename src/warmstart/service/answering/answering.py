"""Answering: recommendations from the model in use, what is stored, and what comes with a
request.
"""

import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from warmstart.recommend.exploration import Policy
from warmstart.recommend.recommender import Recommender
from warmstart.recommend.request import Request
from warmstart.recommend.response import Answer, Recommendation
from warmstart.service.answering.catalogue import Catalogue, CatalogueRefresher, items_matching
from warmstart.service.answering.recommendation_log import DELAY, RecommendationLog
from warmstart.service.answering.users import UserContext, user_contexts
from warmstart.service.api.schemas import HistoryItem, RankRequest, RecommendRequest
from warmstart.service.models.active import ActiveModel
from warmstart.service.store.records import LoggedRecommendation
from warmstart.service.store.store import Store


class TimedRequest(NamedTuple):
    """A request for recommendations, and when it came by `time.perf_counter`."""

    asked: RecommendRequest
    begun: float


class PreparedRequest(NamedTuple):
    """A request with all that is known of whom it is for: what is left is to compute."""

    question: TimedRequest
    person: UserContext
    request: Request
    catalogue: Catalogue


class RecommendationService:
    """This answers every request anew; it keeps nothing but the model with the items added to
    it.
    """

    def __init__(self, models: ActiveModel, store: Store) -> None:
        self.models, self.store = models, store
        self.journal, self.keeper = RecommendationLog(store), CatalogueRefresher(models, store)

    def close(self) -> None:
        """Write down what was recommended, and close the store."""
        self.keeper.close()
        self.journal.close()
        self.store.close()

    def forget(self, user_id: str) -> dict[str, Any]:
        """Forget all of a user; a receipt. Waits until every worker has written down what it
        recommended before.
        """
        self.journal.flush()
        receipt = self.store.forget(user_id)
        time.sleep(2 * DELAY)
        late = self.store.forget_recommendations(user_id)
        if late:
            receipt["forgotten"]["recommendations"] += late
        return receipt

    def prepare(self, requests: Sequence[TimedRequest]) -> list[PreparedRequest]:
        """Each request with its user's context from the store, in one look-up for all of them."""
        catalogue = self.keeper.current
        bodies = [one.asked for one in requests]
        users = [(one.user_id, one.history, one.profile) for one in bodies]
        contexts = user_contexts(self.store, catalogue.model.default_value, users)
        parsed = [
            _request(body, context, catalogue)
            for body, context in zip(bodies, contexts, strict=True)
        ]
        return [
            PreparedRequest(*one, catalogue) for one in zip(requests, contexts, parsed, strict=True)
        ]

    def answer(self, prepared: Sequence[PreparedRequest]) -> list[dict[str, Any]]:
        """The best items for each of many, which are written down with their chances."""
        found: dict[int, dict[str, Any]] = {}
        for catalogue in {
            id(one.catalogue): one.catalogue for one in prepared
        }.values():  # mostly one
            places = [place for place, one in enumerate(prepared) if one.catalogue is catalogue]
            answers = catalogue.model.recommend_all([prepared[place].request for place in places])
            found |= {
                place: self._body(prepared[place], one)
                for place, one in zip(places, answers, strict=True)
            }
        return [found[place] for place in range(len(prepared))]

    def recommend(self, asked: RecommendRequest) -> dict[str, Any]:
        """The best items for one."""
        return self.answer(self.prepare([TimedRequest(asked, time.perf_counter())]))[0]

    def _body(self, wish: PreparedRequest, answer: Answer) -> dict[str, Any]:
        """An answer as it is sent, once it is noted."""
        asked, catalogue = wish.question.asked, wish.catalogue
        items = [_item(item, catalogue, asked.language) for item in answer.items]
        chances = [{"item_id": item["item_id"], "propensity": item["propensity"]} for item in items]
        stage = wish.person.stage if answer.used else "prior"
        identifier, took = uuid.uuid4().hex, 1000 * (time.perf_counter() - wish.question.begun)
        version = catalogue.serving.version
        self.journal.append(
            LoggedRecommendation(
                identifier, asked.user_id, time.time(), version, stage, took, chances
            )
        )
        return {
            "recommendation_id": identifier,
            "model": version,
            "took_ms": took,
            "user": {"events_used": answer.used, "stage": stage},
            "items": items,
            **_fidelity(answer),
            "warnings": list(answer.warnings),
        }

    def rank(self, asked: RankRequest) -> dict[str, Any]:
        """Items in the order in which they suit somebody; those that the model does not know are
        named.
        """
        catalogue, model, person = self._with_one(asked.user_id, asked.history, asked.profile)
        known = [
            item
            for item, code in zip(asked.item_ids, model.items.encode(asked.item_ids), strict=True)
            if code >= 0
        ]
        where = np.zeros(len(model.items), dtype=bool)
        where[model.items.encode(known)] = True
        answer = model.recommend(
            person.history, max(len(known), 1), profile=person.profile, again=True, where=where
        )
        return {
            "model": catalogue.serving.version,
            "items": [{"item_id": str(item.item), "score": item.score} for item in answer.items],
            "unknown": [item for item in asked.item_ids if item not in known],
        }

    def similar(self, item_id: str, count: int) -> dict[str, Any]:
        """What those are recommended who met one item alone."""
        catalogue = self.keeper.current
        answer = catalogue.model.recommend([item_id], count, where=catalogue.shown)
        return {
            "model": catalogue.serving.version,
            "items": [_item(item, catalogue, "en") for item in answer.items],
        }

    def explain(self, user_id: str, item_id: str, count: int, language: str) -> dict[str, Any]:
        """Why an item stands where it does for a user."""
        catalogue, model, person = self._with_one(user_id, (), {})
        found = model.explain(person.history, item_id, profile=person.profile, n=count)
        return {"model": catalogue.serving.version, **found.to_dict(language)}

    def _with_one(
        self, user: str | None, history: Sequence[str | HistoryItem], profile: Mapping[str, Any]
    ) -> tuple[Catalogue, Recommender, UserContext]:
        catalogue = self.keeper.current
        [person] = user_contexts(
            self.store, catalogue.model.default_value, [(user, history, profile)]
        )
        return catalogue, catalogue.model, person


def _request(asked: RecommendRequest, person: UserContext, catalogue: Catalogue) -> Request:
    where = catalogue.shown
    if asked.filter:
        wanted = items_matching(catalogue, asked.filter)
        where = wanted if where is None else wanted & where
    return Request(
        person.history,
        asked.count,
        profile=person.profile,
        exclude=[*asked.exclude_ids, *(person.neutral_items if asked.exclude_seen else ())],
        explain=asked.explain,
        again=not asked.exclude_seen,
        where=where,
        policy=None if asked.explore is None else Policy(**asked.explore.model_dump()),
    )


def _item(found: Recommendation, catalogue: Catalogue, language: str) -> dict[str, Any]:
    """A recommended item as it is answered; what is not known of it is left out."""
    identifier = str(found.item)
    own = catalogue.properties.get(identifier, {})
    title = own.get("title", found.title)
    told = (
        {"why": found.why(language), "reasons": [one.to_dict() for one in found.reasons]}
        if found.reasons
        else {}
    )
    return {
        "item_id": identifier,
        **({} if title is None else {"title": title}),
        "score": found.score,
        **({} if found.probability is None else {"probability": found.probability}),
        "propensity": found.propensity,
        "properties": {**found.properties, **own},
        **told,
    }


def _fidelity(answer: Answer) -> dict[str, dict[str, float]]:
    if answer.sufficiency is None or answer.comprehensiveness is None:
        return {}
    return {
        "fidelity": {
            "sufficiency": answer.sufficiency,
            "comprehensiveness": answer.comprehensiveness,
        }
    }
