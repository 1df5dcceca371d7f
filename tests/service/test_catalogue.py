"""The catalogue as it grows: step by step it is what it would be at once."""

import pytest

from warmstart.service.answering.catalogue import Catalogue, CatalogueRefresher, build_catalogue
from warmstart.service.models.active import ActiveModel
from warmstart.service.store.records import Event
from warmstart.service.store.schema import ITEMS
from warmstart.service.store.store import Store


@pytest.fixture
def store(tmp_path):
    found = Store.open(f"sqlite:///{tmp_path}/events.db")
    yield found
    found.close()


@pytest.fixture
def versions(models) -> ActiveModel:
    return ActiveModel(models)


def answers(catalogue: Catalogue) -> dict[str, float]:
    found = catalogue.model.recommend(["i17", "i4"], 200, where=catalogue.shown)
    return {str(item.item): item.score for item in found.items}


def test_step_by_step_it_is_what_it_would_be_at_once(store, versions):
    found = build_catalogue(versions.serving, store)
    changes = [
        lambda: store.put(ITEMS, "n1", {"title": "Oak hammock", "category": "Garden"}),
        lambda: store.put(ITEMS, "n2", {"title": "Felt kite", "category": "Toys"}),
        lambda: store.put(ITEMS, "n1", {"title": "Oak hammock", "category": "Music"}),
        lambda: store.put(ITEMS, "i9", {"is_hidden": True}),
        lambda: store.add(
            [
                Event(f"u{n}", item, "click", None, n)
                for n in range(5)
                for item in ("n2", "i3", "i8")
            ]
        ),
        lambda: store.remove_item("n1"),
        lambda: store.put(ITEMS, "n3", {"title": "Steel kite", "category": "Toys"}),
    ]
    for change in changes:
        change()
        found = build_catalogue(versions.serving, store, found)
        at_once = build_catalogue(versions.serving, store)
        assert answers(found) == pytest.approx(answers(at_once), abs=1e-4)
        assert found.properties == at_once.properties and found.new == at_once.new
    assert "i9" not in answers(found) and {"n2", "n3"} <= set(answers(found))


def test_what_did_not_change_is_not_made_anew(store, versions):
    store.put(ITEMS, "n1", {"title": "Oak hammock", "category": "Garden"})
    keeper = CatalogueRefresher(versions, store)
    before = keeper.current
    keeper.refresh()
    assert keeper.current is before
    store.put(ITEMS, "i1", {"price": 3})
    keeper.refresh()
    assert keeper.current.model is before.model and keeper.current.properties["i1"] == {"price": 3}
    keeper.close()
