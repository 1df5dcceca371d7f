"""Scenarios: each cut gives the tasks it promises, and nothing of what is asked leaks into what is
learned.
"""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import warmstart as ws
from warmstart.errors import DataError, UsageError
from warmstart.evaluation.evaluate import evaluate
from warmstart.scorer import Capabilities
from warmstart.tasks.cutting import BENCHMARK, DEPLOY
from warmstart.tasks.examples import Examples
from warmstart.tasks.scenarios import SCENARIOS, ScenarioOptions, cut
from warmstart.tasks.split import Split
from warmstart.tasks.tasks import QuerySpec, Tasks

OPTIONS = {
    "user": ScenarioOptions(),
    "item": ScenarioOptions(),
    "session": ScenarioOptions(gap=1500.0),
    "cross-domain": ScenarioOptions(target="films"),
}


def rows(examples: Examples) -> list[list[int]]:
    return [
        examples.item[a:b].tolist()
        for a, b in zip(examples.offsets[:-1], examples.offsets[1:], strict=True)
    ]


def values(examples: Examples) -> list[int]:
    """The rows of the log that these are."""
    return examples.value.astype(int).tolist()


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_same_seed_cuts_the_same_way(name, clicks):
    one, again = (
        cut(clicks(), name, seed=3, shares=BENCHMARK, options=OPTIONS[name]) for _ in "ab"
    )
    for part in ("train", "valid", "test"):
        assert rows(getattr(one, part).all_events) == rows(getattr(again, part).all_events)


@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.parametrize("shares", [BENCHMARK, DEPLOY])
def test_no_event_is_in_two_parts_and_none_is_in_one_twice(name, shares, clicks):
    split = cut(clicks(), name, seed=1, shares=shares, options=OPTIONS[name])
    seen = [
        value
        for part in (split.train, split.valid, split.test)
        for value in values(part.all_events)
    ]
    assert len(set(seen)) == len(seen) > 200


def test_swapping_twice_gives_the_log_back(clicks):
    log = clicks()
    again = log.transposed().transposed()
    assert again.fingerprint() == log.fingerprint() and again.item_table is log.item_table
    assert log.transposed().user_table is log.item_table and log.transposed().items is log.users


def test_a_new_item_is_a_task_of_the_users_that_met_it(log):
    split = cut(log, "item", seed=0, shares=BENCHMARK)
    assert split.n_items == len(log.users) and len(split.train) == 21
    assert split.train.profile is not None, (
        "what is known of an item before anybody met it are its columns"
    )
    met = {
        frozenset(row)
        for part in (split.train, split.valid, split.test)
        for row in rows(part.events)
    }
    assert met <= {frozenset(log.user[log.item == item].tolist()) for item in range(len(log.items))}
    batch = split.test.cut(1)
    assert (batch.query.counts == split.test.events.counts - 1).all(), "whoever comes is asked for"


@given(st.integers(0, 1000), st.integers(0, 400))
def test_sessions_end_where_nothing_happens_for_longer_than_the_gap(clicks, seed, gap):
    log = clicks(seed, users=7, events=90)
    cut_up = log.sessions(gap)
    assert cut_up.user_table is None and len(cut_up) == len(log)
    for user in range(7):
        mine = np.flatnonzero(log.user == user)
        number, before = -1, None
        for row in mine:
            number += before is None or log.time[row] - before > gap
            before = log.time[row]
            assert cut_up.users.decode(cut_up.user[[row]]) == [f"o{user}#{number}"]


@given(st.integers(0, 1000), st.sampled_from([None, 50.0, 1000.0]))
def test_no_session_is_learned_from_that_ends_after_a_judged_one_begins(clicks, seed, gap):
    log = clicks(seed)
    try:
        split = cut(log, "session", seed=0, shares=BENCHMARK, options=ScenarioOptions(gap=gap))
    except DataError:
        return
    ends = -1
    for part in (split.train, split.valid, split.test):
        if len(part.events.item):
            times = log.time[values(part.events)]
            assert times.min() > ends
            ends = times.max()


def test_histories_that_all_overlap_are_no_sessions(clicks):
    with pytest.raises(DataError, match="cut long histories into sessions with --session-gap 30m"):
        cut(clicks(users=20), "session", seed=0, shares=BENCHMARK)


def test_without_comparable_times_sessions_are_drawn_but_keep_their_order(clicks):
    log = clicks()
    position = np.zeros(len(log), dtype=np.int64)
    for user in range(60):
        mine = log.user == user
        position[mine] = np.arange(mine.sum())
    order = np.argsort(position, kind="stable")
    log = replace(
        log,
        user=log.user[order],
        item=log.item[order],
        value=log.value[order],
        time=position[order],
    )
    assert not log.has_comparable_times
    split = cut(log, "session", seed=0, shares=BENCHMARK)
    assert len(split.train) == 42 and len(split.test) == 12
    for row in np.split(split.train.events.value, split.train.events.offsets[1:-1]):
        assert (np.diff(row) > 0).all()
    with pytest.raises(UsageError, match="these data have none that can be compared"):
        log.sessions(10)


def test_the_next_click_is_asked_for_and_may_be_one_of_before(clicks):
    batch = cut(
        clicks(users=5), "session", seed=0, shares=BENCHMARK, options=ScenarioOptions(gap=100.0)
    ).test.cut(3)
    assert set(batch.query.counts.tolist()) == {1} and batch.query_spec.allow_repeats
    again = [
        item in support
        for support, (item,) in zip(rows(batch.support), rows(batch.query), strict=True)
    ]
    assert 0 < sum(again) < len(again)


class Repeating:
    """This expects what was last met to come again."""

    items = 12
    capabilities = Capabilities()

    def adapt(self, support: Examples, profile=None) -> np.ndarray:
        return support.item[support.offsets[1:] - 1]

    def score(self, state, items):
        return (items[None, :] == state[:, None]).astype(np.float32)

    def arrays(self):
        return {}


@pytest.mark.parametrize(("again", "expected"), [(True, 1.0), (False, 0.0)])
def test_an_item_that_may_come_again_is_a_candidate(examples, again, expected):
    tasks = Tasks(
        examples([[4, 4], [7, 7]]),
        ordered=True,
        query_spec=QuerySpec(horizon=1, allow_repeats=again),
    )
    outcome = evaluate(Repeating(), tasks, shots=[1])
    assert (outcome.values["mrr"][1] == 1).mean() == expected


def test_events_elsewhere_are_known_and_those_in_the_target_domain_are_asked_for(clicks):
    log = clicks()
    split = cut(log, "cross-domain", seed=0, shares=BENCHMARK, options=OPTIONS["cross-domain"])
    for shots in (0, 2):
        batch = split.test.cut(shots)
        for support, query in zip(rows(batch.support), rows(batch.query), strict=True):
            assert sum(item >= 6 for item in support) == shots and min(support) < 6
            assert query and min(query) >= 6 and not set(query) & set(support)
    assert batch.query_spec.candidates is not None and batch.query_spec.candidates.tolist() == list(
        range(6, 12)
    )
    assert split.item_features is not None and split.item_features.shape == (12, 5)


def test_items_that_are_no_answer_are_no_candidates(examples):
    tasks = Tasks(
        examples([[8, 9]]),
        ordered=True,
        context=examples([[1, 2]]),
        query_spec=QuerySpec(candidates=np.array([8, 9, 10])),
    )

    class Eager(Repeating):
        def score(self, state, items):
            return (
                np.where(items < 8, 5.0, 12.0 - items)
                .astype(np.float32)[None, :]
                .repeat(len(state), axis=0)
            )

    assert evaluate(Eager(), tasks, shots=[0]).values["ndcg@10"][0].tolist() == [1.0]


def test_fewer_users_on_both_sides_leave_those_on_one_side(clicks):
    log = clicks(users=300, events=1200)
    whole, few = (
        cut(
            log,
            "cross-domain",
            seed=0,
            shares=BENCHMARK,
            options=ScenarioOptions(target="films", overlap=overlap),
        )
        for overlap in (1.0, 0.1)
    )

    def sides(split: Split) -> tuple[int, int]:
        here, there = split.train.events.counts > 0, split.train.context.counts > 0
        return int((here & there).sum()), int((here != there).sum())

    assert sides(few) == (round(0.1 * sides(whole)[0]), sides(whole)[1])
    assert rows(few.test.all_events) == rows(whole.test.all_events)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ScenarioOptions(),
            "say in which domain to recommend with --target; the data have books, films",
        ),
        (ScenarioOptions(target="songs"), 'there is no domain "songs"; the data have books, films'),
        (
            ScenarioOptions(target="films", sources=("films",)),
            '"films" cannot be source and target at once',
        ),
    ],
)
def test_domains_that_are_not_there_are_refused(options, message, clicks):
    with pytest.raises(UsageError, match=message):
        cut(clicks(), "cross-domain", seed=0, shares=BENCHMARK, options=options)


def test_a_log_without_domains_is_refused(log):
    with pytest.raises(UsageError, match="needs events of at least two domains"):
        cut(log, "cross-domain", seed=0, shares=BENCHMARK, options=OPTIONS["cross-domain"])


def test_item_ids_that_begin_anew_in_each_domain_are_told_apart():
    frame = pl.DataFrame(
        {
            "user": [1, 1, 2, 2, 3],
            "item": [0, 1, 0, 1, 1],
            "domain": ["cd", "cd", "book", "book", "cd"],
        }
    )
    assert sorted(ws.read(frame).items.ids.to_list()) == ["book:0", "book:1", "cd:0", "cd:1"]
    apart = frame.with_columns(item=pl.Series([0, 1, 2, 3, 1]))
    assert sorted(ws.read(apart).items.ids.to_list()) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("time", "ticks"), [(1_700_000_000, 1), (1_700_000_000_000, 1000), (10**15, 10**6)]
)
def test_the_unit_of_times_is_told_from_their_size(time, ticks, clicks):
    assert replace(clicks(), time=np.arange(600) + time).time_unit == ticks
