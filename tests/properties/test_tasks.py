"""What holds for every set of tasks, however ragged, and for every log that is cut into some."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from warmstart.data.interactions import Interactions, Vocabulary
from warmstart.errors import DataError
from warmstart.tasks.cutting import BENCHMARK, DEPLOY
from warmstart.tasks.examples import Examples
from warmstart.tasks.scenarios import user_cold_start
from warmstart.tasks.tasks import Tasks, batches

RAGGED = st.lists(st.lists(st.integers(0, 50), max_size=7), min_size=1, max_size=8)


def make(rows: list[list[int]]) -> Examples:
    flat = [item for row in rows for item in row]
    start = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64)
    return Examples(np.array(flat, dtype=np.int64), np.arange(len(flat), dtype=np.float32), start)


def rows_of(examples: Examples) -> list[list[int]]:
    return [
        examples.item[a:b].tolist()
        for a, b in zip(examples.offsets[:-1], examples.offsets[1:], strict=True)
    ]


@given(RAGGED, st.data())
def test_a_window_is_a_slice_of_each_row(rows, data):
    first = np.array(data.draw(st.lists(st.integers(0, 8), min_size=len(rows), max_size=len(rows))))
    last = np.array(data.draw(st.lists(st.integers(0, 9), min_size=len(rows), max_size=len(rows))))
    expected = [row[a:b] if b > a else [] for row, a, b in zip(rows, first, last, strict=True)]
    assert rows_of(make(rows).window(first, last)) == expected


@given(RAGGED, st.data())
def test_taking_tasks_takes_their_rows_in_that_order(rows, data):
    chosen = data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=9))
    assert rows_of(make(rows).take(np.array(chosen, dtype=np.int64))) == [
        rows[task] for task in chosen
    ]


@given(RAGGED)
def test_padding_and_mask_give_the_rows_back(rows):
    padded = make(rows).padded()
    assert [padded.item[t, padded.mask[t]].tolist() for t in range(len(rows))] == rows
    assert padded.mask.shape[1] >= 1


@given(RAGGED, st.integers(0, 99))
def test_shuffling_keeps_each_row_as_a_set(rows, seed):
    shuffled = rows_of(make(rows).shuffled(np.random.default_rng(seed)))
    assert [sorted(row) for row in shuffled] == [sorted(row) for row in rows]


@given(RAGGED)
def test_the_matrix_has_a_one_for_each_item_met(rows):
    matrix = make(rows).matrix(51).toarray()
    assert [set(np.flatnonzero(row)) for row in matrix] == [set(row) for row in rows]
    assert set(np.unique(matrix)) <= {0.0, 1.0}


@given(RAGGED, st.integers(0, 6), st.integers(1, 5))
def test_a_cut_is_the_first_events_and_the_next_ones(rows, shots, queries):
    batch = Tasks(make(rows), ordered=True).cut(shots, queries=queries)
    able = [row for row in rows if len(row) > shots]
    assert rows_of(batch.support) == [row[:shots] for row in able]
    assert rows_of(batch.query) == [row[shots : shots + queries] for row in able]


@given(RAGGED.filter(lambda rows: all(rows)), st.integers(0, 99))
def test_episodes_of_ordered_tasks_keep_the_order(rows, seed):
    batch = Tasks(make(rows), ordered=True).episodes(
        np.random.default_rng(seed), 9, max_shots=4, queries=3
    )
    for support, query in zip(rows_of(batch.support), rows_of(batch.query), strict=True):
        assert query
        assert any((support + query) == row[: len(support + query)] for row in rows)


@given(RAGGED, st.integers(1, 4))
def test_batches_put_together_are_the_whole(rows, size):
    batch = Tasks(make(rows), ordered=True).cut(0)
    parts = [row for part in batches(batch, size) for row in rows_of(part.query)]
    assert parts == rows_of(batch.query)


@given(st.integers(0, 10_000), st.booleans(), st.sampled_from([BENCHMARK, DEPLOY]))
def test_a_split_has_disjoint_users_and_no_query_item_in_its_support(seed, timed, shares):
    log = random_log(seed, timed)
    try:
        split = user_cold_start(log, seed=seed, shares=shares)
    except DataError:
        return
    users = [marks(part) for part in (split.train, split.valid, split.test)]
    assert not (users[0] & users[1]) and not (users[0] & users[2]) and not (users[1] & users[2])
    for tasks in (split.valid, split.test):
        for shots in (0, 1, 3):
            batch = tasks.cut(shots)
            for support, query in zip(rows_of(batch.support), rows_of(batch.query), strict=True):
                assert not set(support) & set(query)
                assert len(set(query)) == len(query)


def test_without_times_the_order_is_drawn_from_the_seed():
    log = random_log(5, timed=False)
    first, again, other = (user_cold_start(log, seed=seed).train.events.item for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert len(first) != len(other) or not np.array_equal(first, other)


def test_with_times_the_order_is_that_of_the_log():
    log = random_log(5, timed=True)
    split = user_cold_start(log)
    for row, values in zip(
        rows_of(split.train.events), split_values(split.train.events), strict=True
    ):
        user = int(values[0]) // 1000
        whole = log.item[log.user == user]
        firsts = list(dict.fromkeys(whole.tolist()))
        assert row == firsts


def test_too_few_users_are_refused():
    log = random_log(1, timed=False, users=2)
    with pytest.raises(DataError, match="2 users with events, too few to hold some of them out"):
        user_cold_start(log)


def test_users_with_single_events_are_refused():
    user = np.arange(30)
    log = Interactions(
        user=user, item=user % 4, value=np.ones(30, dtype=np.float32), time=None, domain=None,
        users=Vocabulary(pl.Series(range(30))), items=Vocabulary(pl.Series(range(4))),
    )  # fmt: skip
    with pytest.raises(DataError, match="most users have a single event"):
        user_cold_start(log)


def random_log(seed: int, timed: bool, users: int = 40) -> Interactions:
    """Each user's values carry the user, so that a task shows whose it is."""
    rng = np.random.default_rng(seed)
    events = 400
    user = rng.integers(0, users, events)
    return Interactions(
        user=user,
        item=rng.integers(0, 25, events),
        value=(1000 * user + 1).astype(np.float32),
        time=np.sort(rng.integers(0, 300, events)) if timed else None,
        domain=None,
        users=Vocabulary(pl.Series(range(users))),
        items=Vocabulary(pl.Series(range(25))),
    )


def marks(tasks: Tasks) -> set[int]:
    return {int(value) // 1000 for value in tasks.events.value}


def split_values(examples: Examples) -> list[np.ndarray]:
    return [
        examples.value[a:b]
        for a, b in zip(examples.offsets[:-1], examples.offsets[1:], strict=True)
    ]


def test_tables_without_a_useful_column_count_as_absent():
    log = replace(
        random_log(5, timed=True),
        user_table=pl.DataFrame({"nothing": [None] * 40}),
        item_table=pl.DataFrame({"constant": [1] * 25}),
    )
    split = user_cold_start(log)
    assert (
        split.item_features is None
        and split.profile_columns is None
        and split.train.profile is None
    )
