"""Synthetic data: shaped like a shop's, equal for equal seeds, and with something to learn."""

import numpy as np
import polars as pl
import pytest

from warmstart.data.features.table import Features
from warmstart.data.interactions import Interactions
from warmstart.data.reading import read
from warmstart.data.synthetic import synthetic_shop


@pytest.fixture(scope="module")
def log() -> Interactions:
    return synthetic_shop(users=600)


def test_the_same_seed_gives_the_same_shop():
    first, again, other = (
        synthetic_shop(users=40, items=60, seed=3),
        synthetic_shop(users=40, items=60, seed=3),
        synthetic_shop(users=40, items=60),
    )
    np.testing.assert_array_equal(first.item, again.item)
    np.testing.assert_array_equal(first.time, again.time)
    assert first.item_table is not None and again.item_table is not None
    assert first.item_table.equals(again.item_table)
    assert not np.array_equal(first.item[:100], other.item[:100])


def test_events_are_in_time_order_and_nobody_buys_twice(log):
    assert (np.diff(log.time) >= 0).all()
    assert len(np.unique(log.user * len(log.items) + log.item)) == len(log)


def test_users_buy_8_to_80_items(log):
    counts = np.bincount(log.user, minlength=600)
    assert counts.min() == 8
    assert 40 < counts.max() <= 80


def test_a_small_catalogue_is_bought_at_most_once():
    log = synthetic_shop(users=12, items=10)
    assert np.bincount(log.user).max() <= 10


def test_few_items_take_most_of_the_sales(log):
    counts = np.sort(np.bincount(log.item, minlength=400))[::-1]
    assert counts[:80].sum() > 2 * counts[-200:].sum()


def test_ids_are_text_and_tables_have_a_row_for_each(log):
    assert log.items.decode(np.array([16])) == ["i17"]
    assert log.users.decode(np.array([2])) == ["u3"]
    assert log.item_table.columns == ["title", "category", "brand", "price", "tags"]
    assert log.user_table.columns == ["country", "age_group"]
    assert (len(log.item_table), len(log.user_table)) == (400, 600)


def test_every_column_is_of_use(log):
    kinds = Features.fit(log.item_table).described | Features.fit(log.user_table).described
    assert kinds == {
        "title": "text",
        "category": "categorical",
        "brand": "categorical",
        "price": "numeric",
        "tags": "multi-valued",
        "country": "categorical",
        "age_group": "categorical",
    }


def test_the_shop_survives_being_written_and_read(log, tmp_path):
    user, item = log.users.decode(log.user), log.items.decode(log.item)
    pl.DataFrame({"user": user, "item": item, "time": log.time}).write_csv(
        tmp_path / "interactions.csv"
    )
    back = read(tmp_path)
    assert back.items.decode(back.item) == item
    np.testing.assert_array_equal(back.time, log.time)


def test_events_and_profiles_predict_more_than_popularity(log):
    """Closed-form item-to-item weights (EASE) and a regression on the profile, both against
    counts.
    """
    bought = np.zeros((600, 400))
    bought[log.user, log.item] = 1
    position = np.zeros(len(log), dtype=int)
    for user in range(600):
        position[log.user == user] = np.arange((log.user == user).sum())
    seen = np.zeros_like(bought)
    seen[log.user[position < 5], log.item[position < 5]] = 1
    train, seen, query = bought[:450], seen[450:], (bought - seen)[450:]
    inverse = np.linalg.inv(train.T @ train + 100 * np.eye(400))
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)
    profile = Features.fit(log.user_table).transform(log.user_table).toarray()
    known = profile[:450]
    by_profile = np.linalg.solve(known.T @ known + 5 * np.eye(profile.shape[1]), known.T @ train)

    def precision(scores: np.ndarray) -> float:
        top = np.argsort(-np.where(seen > 0, -np.inf, scores), axis=1)[:, :10]
        return float(np.take_along_axis(query, top, axis=1).mean())

    popular = precision(np.broadcast_to(train.sum(axis=0), seen.shape))
    assert precision(seen @ weights) > 1.1 * popular
    assert precision(profile[450:] @ by_profile) > 1.1 * popular
