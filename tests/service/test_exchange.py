"""From files to a store and back, and from a store to a model."""

import polars as pl
import pytest

import warmstart as ws
from warmstart.errors import DataError, UsageError
from warmstart.service.store.exchange import export_store, import_log, stored_log
from warmstart.service.store.records import Event
from warmstart.service.store.schema import ITEMS
from warmstart.service.store.store import opened_store


@pytest.fixture(scope="module")
def shop() -> ws.Interactions:
    return ws.synthetic_shop(users=120, items=60)


def test_what_was_imported_is_exported(shop, address, tmp_path):
    with opened_store(address) as store:
        assert import_log(store, shop)["interactions"] == len(shop)
        assert export_store(store, tmp_path / "out") == {
            "interactions": len(shop),
            "items": 60,
            "users": 120,
        }
    again = ws.read(tmp_path / "out")
    assert len(again) == len(shop) and set(again.items.ids) == set(shop.items.ids)
    pairs = {
        (u, i)
        for u, i in zip(shop.users.decode(shop.user), shop.items.decode(shop.item), strict=True)
    }
    assert pairs == {
        (u, i)
        for u, i in zip(again.users.decode(again.user), again.items.decode(again.item), strict=True)
    }
    assert (again.time[1:] >= again.time[:-1]).all()
    titles = dict(zip(shop.items.ids.to_list(), shop.item_table["title"].to_list(), strict=True))
    assert (
        dict(zip(again.items.ids.to_list(), again.item_table["title"].to_list(), strict=True))
        == titles
    )


def test_a_model_is_fitted_from_a_store(shop, tmp_path):
    with opened_store(f"sqlite:///{tmp_path}/events.db") as store:
        import_log(store, shop)
        store.add([Event("u1", "i1", "dislike", None, 1e9)])
        log = stored_log(store)
    assert len(log) == len(shop) and log.item_table is not None and log.user_table is not None
    model = ws.fit(log, learner="ease")
    assert model.recommend(["i1"], 3).used == 1


def test_values_of_several_kinds_become_text(tmp_path):
    with opened_store(f"sqlite:///{tmp_path}/events.db") as store:
        store.add([Event("a", "x", "click", None, 1.0)])
        store.put_many(
            ITEMS, {"x": {"size": 3, "tags": ["a", "b"]}, "y": {"size": "large", "new": True}}
        )
        export_store(store, tmp_path / "out")
    found = pl.read_parquet(tmp_path / "out" / "items.parquet")
    assert found["size"].to_list() == ["3", "large"] and found["tags"].to_list() == ["a|b", None]


def test_an_empty_store_is_nothing_to_learn_from(tmp_path):
    with (
        opened_store(f"sqlite:///{tmp_path}/events.db") as store,
        pytest.raises(DataError, match="holds no events yet"),
    ):
        stored_log(store)


def test_a_folder_with_something_in_it_is_left_alone(tmp_path):
    (tmp_path / "file").write_text("mine")
    with (
        opened_store(f"sqlite:///{tmp_path}/events.db") as store,
        pytest.raises(UsageError, match="is not empty"),
    ):
        export_store(store, tmp_path)
