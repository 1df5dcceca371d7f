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
from warmstart.service.answering.catalogue import Catalogue, Keeper, having
from warmstart.service.answering.recommendation_log import DELAY, Journal
from warmstart.service.answering.users import Person, people
from warmstart.service.api.schemas import Asked, Met, Ranked
from warmstart.service.models.active import Models
from warmstart.service.store.records import Logged
from warmstart.service.store.store import Store


class Question(NamedTuple):
    """A request for recommendations, and when it came by `time.perf_counter`."""

    asked: Asked
    begun: float


class Wish(NamedTuple):
    """A request with all that is known of whom it is for: what is left is to compute."""

    question: Question
    person: Person
    request: Request
    catalogue: Catalogue


class Answering:
    """This answers every request anew; it keeps nothing but the model with the items added to
    it.
    """

    def __init__(self, models: Models, store: Store) -> None:
        self.models, self.store = models, store
        self.journal, self.keeper = Journal(store), Keeper(models, store)

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

    def prepare(self, questions: Sequence[Question]) -> list[Wish]:
        """What the store knows of whom each of many requests is for, and which items they may be
        shown.
        """
        catalogue = self.keeper.current
        asked = [one.asked for one in questions]
        whom = [(one.user_id, one.history, one.profile) for one in asked]
        found = people(self.store, catalogue.model.default_value, whom)
        requests = [
            _request(one, person, catalogue) for one, person in zip(asked, found, strict=True)
        ]
        return [Wish(*one, catalogue) for one in zip(questions, found, requests, strict=True)]

    def answer(self, wishes: Sequence[Wish]) -> list[dict[str, Any]]:
        """The best items for each of many, which are written down with their chances."""
        found: dict[int, dict[str, Any]] = {}
        for catalogue in {
            id(one.catalogue): one.catalogue for one in wishes
        }.values():  # mostly one
            places = [place for place, one in enumerate(wishes) if one.catalogue is catalogue]
            answers = catalogue.model.recommend_all([wishes[place].request for place in places])
            found |= {
                place: self._told(wishes[place], one)
                for place, one in zip(places, answers, strict=True)
            }
        return [found[place] for place in range(len(wishes))]

    def recommend(self, asked: Asked) -> dict[str, Any]:
        """The best items for one."""
        return self.answer(self.prepare([Question(asked, time.perf_counter())]))[0]

    def _told(self, wish: Wish, answer: Answer) -> dict[str, Any]:
        """An answer as it is sent, once it is noted."""
        asked, catalogue = wish.question.asked, wish.catalogue
        items = [_item(item, catalogue, asked.language) for item in answer.items]
        chances = [{"item_id": item["item_id"], "propensity": item["propensity"]} for item in items]
        stage = wish.person.stage if answer.used else "prior"
        identifier, took = uuid.uuid4().hex, 1000 * (time.perf_counter() - wish.question.begun)
        version = catalogue.serving.version
        self.journal.note(
            Logged(identifier, asked.user_id, time.time(), version, stage, took, chances)
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

    def rank(self, asked: Ranked) -> dict[str, Any]:
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
        self, user: str | None, history: Sequence[str | Met], profile: Mapping[str, Any]
    ) -> tuple[Catalogue, Recommender, Person]:
        catalogue = self.keeper.current
        [person] = people(self.store, catalogue.model.default_value, [(user, history, profile)])
        return catalogue, catalogue.model, person


def _request(asked: Asked, person: Person, catalogue: Catalogue) -> Request:
    where = catalogue.shown
    if asked.filter:
        wanted = having(catalogue, asked.filter)
        where = wanted if where is None else wanted & where
    return Request(
        person.history,
        asked.count,
        profile=person.profile,
        exclude=[*asked.exclude_ids, *(person.silent if asked.exclude_seen else ())],
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
