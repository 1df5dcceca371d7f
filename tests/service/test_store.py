"""The store, on SQLite and on PostgreSQL: what it answered as kept is there, also for others and
after a kill.
"""

import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import inspect, select, update

from warmstart.errors import NotFitted, UsageError
from warmstart.service.store.records import Event, LoggedRecommendation
from warmstart.service.store.schema import ITEMS, RECEIVED, USERS, VERSION
from warmstart.service.store.store import Store, opened_store


@pytest.fixture
def store(address) -> Iterator[Store]:
    found = Store.open(address)
    yield found
    found.close()


def event(user: str, item: str, at: float = 1.0) -> Event:
    return Event(user, item, "click", None, at)


def test_a_history_is_in_the_order_of_events_and_holds_the_latest(store):
    store.add(
        [
            event("a", "second", 2.0),
            event("a", "first", 1.0),
            event("b", "other", 0.0),
            event("a", "third", 3.0),
        ]
    )
    assert [one.item_id for one in store.history("a", 10)] == ["first", "second", "third"]
    assert [one.item_id for one in store.history("a", 2)] == ["second", "third"]
    assert store.history("nobody", 10) == []


def test_events_come_back_as_they_went_in(store):
    kept = Event("a", "ü 1", "rating", 4.5, 1_700_000_000.25, "r1")
    store.add([kept])
    assert store.history("a", 1) == [kept]
    assert [list(part) for part in store.events(1)] == [[kept]]


def test_all_events_are_read_in_parts(store):
    store.add([event("a", str(number)) for number in range(7)])
    assert [[one.item_id for one in part] for part in store.events(3)] == [
        ["0", "1", "2"],
        ["3", "4", "5"],
        ["6"],
    ]


def test_another_worker_sees_what_was_kept(store, address):
    other = Store.open(address)
    store.add([event("a", "i")])
    store.put(USERS, "a", {"country": "FR"})
    assert len(other.history("a", 5)) == 1 and other.get(USERS, "a") == {"country": "FR"}
    other.close()


def test_many_writers_at_once_lose_nothing(store):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: store.add([event(f"u{n % 5}", str(n))]), range(80)))
    assert store.counts()["interactions"] == 80


def test_under_a_key_many_at_once_are_kept_once(store):
    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(
                lambda n: store.add_once([event("a", "i")], "key", "same", {"n": n}), range(16)
            )
        )
    assert store.counts()["interactions"] == 1
    assert len({answer["n"] for answer in answers}) == 1
    with pytest.raises(UsageError, match='key "key" was used for another request'):
        store.add_once([event("a", "i")], "key", "other", {})


def test_items_are_written_over_and_listed(store):
    assert store.put(ITEMS, "i1", {"title": "one"}) and not store.put(ITEMS, "i1", {"title": "two"})
    assert store.put_many(ITEMS, {"i1": {"a": 1}, "i2": {}, "i3": {"b": None}}) == 2
    page = store.page(ITEMS, None, 2)
    assert [row["item_id"] for row in page.rows] == ["i1", "i2"] and page.cursor == "i2"
    assert store.page(ITEMS, page.cursor, 2).rows == [{"item_id": "i3", "properties": {"b": None}}]
    assert store.items_since(0.0) == {"i1": {"a": 1}, "i2": {}, "i3": {"b": None}}
    assert (
        store.remove_item("i1") and not store.remove_item("i1") and store.get(ITEMS, "i1") is None
    )


def test_a_stamp_changes_with_items_and_says_since_when(store):
    stamps = [store.items_stamp()]
    for change in (lambda: store.put(ITEMS, "i1", {}), lambda: store.put(ITEMS, "i1", {"a": 1})):
        change()
        stamps.append(store.items_stamp())
    store.put(ITEMS, "i2", {})
    assert len(set(stamps)) == 3 and store.items_stamp().items == 2
    assert list(store.items_since(stamps[-1].changed)) == ["i1", "i2"]
    assert list(store.items_since(store.items_stamp().changed)) == ["i2"]
    store.remove_item("i1")
    assert store.items_stamp().items == 1


def test_it_is_counted_how_often_items_are_met(store):
    store.add([event("a", "i1"), event("b", "i1"), event("a", "i2"), event("a", "other")])
    assert store.interaction_counts(["i1", "i2", "i3"]) == {"i1": 2, "i2": 1}


def test_histories_of_those_who_met_an_item_are_without_it(store):
    store.add(
        [
            event("a", "x", 1),
            event("a", "new", 2),
            event("b", "new", 1),
            event("b", "y", 2),
            event("c", "x", 1),
        ]
    )
    found = store.histories_of_items(["new", "unmet"], 10, 10)
    assert set(found) == {"new"} and sorted(found["new"]) == [["x"], ["y"]]


def test_forgetting_and_merging(store):
    store.add([event("guest", "i"), event("user", "j")])
    store.put(USERS, "guest", {"a": 1, "b": 1})
    store.put(USERS, "user", {"b": 2})
    store.log(
        [
            LoggedRecommendation(
                "r", "guest", 1.0, "m", "prior", 1.0, [{"item_id": "i", "propensity": 0.5}]
            )
        ]
    )
    assert store.merge("guest", "user") == 1
    assert store.get(USERS, "user") == {"a": 1, "b": 2} and store.get(USERS, "guest") is None
    assert store.forget("user")["forgotten"] == {
        "interactions": 2,
        "recommendations": 0,
        "users": 1,
    }
    assert store.counts() == {"interactions": 0, "items": 0, "users": 0, "recommendations": 1}


def test_an_older_store_is_brought_up_to_date(store, address):
    store.add([event("a", "i")])
    with store.engine.begin() as connection:
        RECEIVED.drop(connection)
        connection.execute(update(VERSION).values(version=1))
    with opened_store(address) as again, again.engine.connect() as connection:
        assert RECEIVED.name in {
            index["name"] for index in inspect(connection).get_indexes("interactions")
        }
        assert len(again.history("a", 1)) == 1


def test_a_store_of_a_newer_version_is_left_alone(store, address):
    with store.engine.begin() as connection:
        connection.execute(update(VERSION).values(version=99))
    with pytest.raises(NotFitted, match="the store has version 99"):
        Store.open(address)


def test_opening_again_changes_nothing(store, address):
    store.add([event("a", "i")])
    again = Store.open(address)
    assert again.counts()["interactions"] == 1
    with again.engine.connect() as connection:
        assert connection.execute(select(VERSION.c.version)).all() == [(2,)]
    again.close()


def test_many_workers_may_start_at_once(address):
    with ThreadPoolExecutor(6) as pool:
        stores = list(pool.map(lambda _: Store.open(address), range(6)))
    stores[0].add([event("a", "i")])
    assert all(one.counts()["interactions"] == 1 for one in stores)
    for one in stores:
        one.close()


def test_what_was_kept_survives_a_kill(address):
    writer = textwrap.dedent(f"""
        from warmstart.service.store.store import Event, Store
        store = Store.open({address!r})
        for number in range(100_000):
            store.add([Event("u", str(number), "click", None, float(number))])
            print(number, flush=True)
    """)
    process = subprocess.Popen([sys.executable, "-c", writer], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    told = [process.stdout.readline() for _ in range(25)]
    time.sleep(0.2)
    process.kill()
    told += process.communicate()[0].splitlines()
    last = max(int(line) for line in told if line.strip().isdigit())
    with opened_store(address) as after:
        kept = {one.item_id for one in after.history("u", 200_000)}
    assert last >= 24 and kept >= {str(number) for number in range(last + 1)}


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("nonsense", '"nonsense" is no store'),
        ("mysql://host/db", '"mysql://host/db" is no store that is known'),
    ],
)
def test_an_address_that_is_none_is_refused(url, said):
    with pytest.raises(UsageError, match=said):
        Store.open(url)


def test_a_store_that_cannot_be_reached_is_said_so(tmp_path):
    with pytest.raises(NotFitted, match="cannot be opened"):
        Store.open("postgresql://nobody@127.0.0.1:1/nothing")
    with pytest.raises(NotFitted, match="cannot be opened"):
        Store.open(f"sqlite:///{tmp_path}/no/such/folder/events.db")
