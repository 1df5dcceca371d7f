"""The evidence against sums written out, and with a task left out against what was fitted without
it.
"""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose

from warmstart.cooccurrence.similarity import IDF_SMOOTHING
from warmstart.ensemble.experts import CONTENT_DOWNWEIGHT, RIDGE_SEARCH_TASKS, RIDGES, Experts
from warmstart.ensemble.profile_regression import ProfileRegression
from warmstart.tasks.tasks import NEXT, Examples, Tasks

ITEMS, SHRINK, RIDGE, WINDOW = 12, 3.0, 2.0, 4
FIRST = ITEMS // 2  # of so small a catalogue
SETTINGS = {"ridge": RIDGE, "shrink": SHRINK, "window": WINDOW}


def tasks(*, ordered: bool, users: int = 25, seed: int = 0, again: bool = False) -> Tasks:
    rng = np.random.default_rng(seed)
    rows = [rng.choice(ITEMS, rng.integers(1, 10), replace=again) for _ in range(users)]
    start = np.concatenate([[0], np.cumsum([len(row) for row in rows])])
    item = np.concatenate(rows)
    return Tasks(Examples(item, np.ones(len(item), dtype=np.float32), start), ordered)


def rows_of(examples: Examples) -> list[list[int]]:
    return [
        examples.item[a:b].tolist()
        for a, b in zip(examples.start[:-1], examples.start[1:], strict=True)
    ]


def raw(evidence: Experts, *what: Examples) -> np.ndarray:
    """What the witnesses say before they are brought to like spread."""
    return evidence.scores(*what) * evidence.spread


@pytest.mark.parametrize(("ordered", "again"), [(False, False), (True, False), (True, True)])
@pytest.mark.parametrize("small", [0, 100])
@pytest.mark.parametrize("limit", [ITEMS, 7])
def test_with_its_own_row_left_out_a_task_hears_what_a_fit_without_it_says(
    ordered, again, limit, small, monkeypatch
):
    monkeypatch.setattr("warmstart.cooccurrence.gram.SMALL", small)
    monkeypatch.setattr("warmstart.ensemble.experts.SMALL", small)
    train = tasks(ordered=ordered, again=again)
    whole = Experts.fit(train, ITEMS, limit=limit, **SETTINGS)
    for task, shots in [(0, 0), (1, 1), (2, 3), (7, 2), (11, 5)]:
        own = train.events.take(np.array([task]))
        support = own.window(np.array([0]), np.minimum(np.array([shots]), own.counts - 1))
        others = train.events.take(np.delete(np.arange(len(train)), task))
        # The items that take part stay those of the whole, whoever is left out.
        without = Experts.fit(Tasks(only(others, whole.taken), ordered), limit, **SETTINGS)
        assert_allclose(
            raw(whole, support, own), raw(without, only(support, whole.taken)), rtol=1e-4, atol=1e-5
        )


def only(examples: Examples, items: np.ndarray) -> Examples:
    """The examples of these items, in codes of their own."""
    rows = [
        [items.tolist().index(item) for item in row if item in items] for row in rows_of(examples)
    ]
    flat = np.array([item for row in rows for item in row], dtype=np.int64)
    start = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64)
    return Examples(flat, np.ones(len(flat), dtype=np.float32), start)


def test_a_batch_hears_what_each_of_its_tasks_would_hear():
    train = tasks(ordered=True)
    evidence = Experts.fit(train, ITEMS, limit=9, **SETTINGS)
    own = train.events.take(np.array([3, 3, 8, 20]))
    support = own.window(np.zeros(4, dtype=int), np.minimum(np.array([1, 4, 0, 2]), own.counts - 1))
    together = evidence.scores(support, own)
    assert together.shape == (4, 9, 4) and together.dtype == np.float32
    for t in range(4):
        one = np.array([t])
        assert_allclose(
            together[t : t + 1],
            evidence.scores(support.take(one), own.take(one)),
            rtol=1e-5,
            atol=1e-6,
        )


@pytest.mark.parametrize("limit", [ITEMS, 7])
def test_what_each_witness_says_is_the_sum_written_out(limit):
    train = tasks(ordered=True)
    evidence = Experts.fit(train, ITEMS, limit=limit, **SETTINGS)
    taken = evidence.taken.tolist()
    counts = np.bincount(train.events.item, minlength=ITEMS)
    assert sorted(counts[taken]) == sorted(counts)[-limit:]
    histories = [[item for item in row if item in taken] for row in rows_of(train.events)]
    support = [item for item in (4, 0, 9, 2) if item in taken]
    said = raw(
        evidence, Examples(np.array([4, 0, 9, 2]), np.ones(4, dtype=np.float32), np.array([0, 4]))
    )[0]

    met = np.array([[item in row for item in taken] for row in histories], dtype=float)
    inverse = np.linalg.inv(met.T @ met + RIDGE * np.eye(limit))
    weights = -inverse / np.diag(inverse)
    places = [taken.index(item) for item in support]
    others = [place for place in range(limit) if place not in places]
    assert_allclose(
        said[others, 0], weights[np.ix_(places, others)].sum(axis=0), rtol=1e-4, atol=1e-5
    )

    n = met.sum(axis=0)
    cosines = (met.T @ met) / np.sqrt(np.outer(n + SHRINK, n + SHRINK))
    assert_allclose(said[:, 1], cosines[places].sum(axis=0), rtol=1e-4)

    after = np.zeros((limit, limit))
    for row in histories:
        for i, first in enumerate(row):
            for gap, second in enumerate(row[i + 1 : i + 1 + WINDOW], start=1):
                after[taken.index(first), taken.index(second)] += gap**-0.5
    shares = after / (n[:, None] + SHRINK) / np.sqrt(n + SHRINK)
    assert_allclose(said[:, 2], shares[places].sum(axis=0), rtol=1e-4)
    newest_first = 1 / (1 + np.arange(len(places)))[::-1]
    assert_allclose(said[:, 3], newest_first @ shares[places], rtol=1e-4)


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("small", [0, 100])
@pytest.mark.parametrize("limit", [ITEMS, 7])
def test_of_a_few_items_the_witnesses_say_what_they_say_of_all(limit, small, again, monkeypatch):
    monkeypatch.setattr("warmstart.cooccurrence.gram.SMALL", small)
    monkeypatch.setattr("warmstart.ensemble.experts.SMALL", small)
    rng = np.random.default_rng(0)
    content = sp.csr_array((rng.random((ITEMS, 9)) < 0.4).astype(np.float32))
    profile = sp.csr_array((rng.random((25, 6)) < 0.5).astype(np.float32))
    train = replace(tasks(ordered=True, again=again), profile=profile)
    evidence = Experts.fit(train, ITEMS, limit=limit, item_features=content, **SETTINGS)
    if evidence.foretold is None:  # these columns foretell nothing, but say something
        heard = ProfileRegression.fit(
            profile, train.met.matrix(ITEMS)[:, evidence.taken], ridge=3.0
        )
        evidence = replace(
            evidence, foretold=heard, spread=np.append(evidence.spread, np.float32(2.0))
        )
    support, few = train.events.take(np.array([3, 8, 20])), np.array([11, 0, 5, 4])
    said = evidence.scores(support, None, profile[[3, 8, 20]])
    whole = np.zeros((3, ITEMS, evidence.n_experts), dtype=np.float32)
    whole[:, evidence.taken] = said
    assert_allclose(
        evidence.score_subset(support, profile[[3, 8, 20]], few),
        whole[:, few],
        rtol=1e-4,
        atol=1e-5,
    )


def test_content_says_what_is_lost_without_its_columns():
    rng = np.random.default_rng(0)
    content = sp.csr_array((rng.random((ITEMS, 9)) < 0.4).astype(np.float32))
    train = tasks(ordered=True)
    evidence = Experts.fit(train, ITEMS, limit=9, item_features=content, **SETTINGS)
    support, marked = train.events.take(np.array([3])), np.arange(9) < 4
    item = int(evidence.taken[2])
    fewer = evidence.content.toarray()
    fewer[2, marked] = 0.0
    without = replace(evidence, content=sp.csr_array(fewer))
    assert item not in support.item
    lost = evidence.scores(support)[0, 2, 2] - without.scores(support)[0, 2, 2]
    assert_allclose(
        evidence.content_attribution(support, item, [marked, ~marked])[0],
        lost,
        rtol=1e-4,
        atol=1e-6,
    )
    assert lost != 0
    absent = int(np.setdiff1d(np.arange(ITEMS), evidence.taken)[0])
    assert_allclose(evidence.content_attribution(support, absent, [marked]), 0)


def test_without_an_order_nothing_follows():
    evidence = Experts.fit(tasks(ordered=False), ITEMS)
    assert evidence.after is None and evidence.n_experts == 2


def test_witnesses_have_like_spread():
    train = tasks(ordered=True, users=300)
    evidence = Experts.fit(train, ITEMS, **SETTINGS)
    batch = train.episodes(np.random.default_rng(1), 400, most_shots=10, queries=1)
    spread = evidence.scores(batch.support, batch.own).std(axis=1).mean(axis=0)
    assert_allclose(spread, np.ones(4), rtol=0.2)


def test_saved_and_restored_it_says_the_same():
    train = tasks(ordered=True)
    evidence = Experts.fit(train, ITEMS, limit=9, **SETTINGS)
    again = Experts.restore(evidence.arrays())
    np.testing.assert_array_equal(again.scores(train.events), evidence.scores(train.events))


def test_the_ridge_chosen_finds_most_of_what_tasks_left_out_of_the_fit_met():
    train = tasks(ordered=False, users=40)
    chosen = Experts.fit(train, ITEMS)
    met = train.events.matrix(ITEMS).toarray().astype(float)
    gram = met.T @ met
    inverse = chosen.precision.left_multiply(sp.csr_array(np.eye(ITEMS, dtype=np.float32))).astype(
        float
    )
    ridge = (np.linalg.inv(inverse) - gram).diagonal().mean()
    batch = train.episodes(
        np.random.default_rng(0), RIDGE_SEARCH_TASKS, most_shots=20, queries=NEXT
    )
    shares = []
    for tried in RIDGES:
        hits: list[bool] = []
        for support, query, own in zip(
            *map(rows_of, (batch.support, batch.query, batch.own)), strict=True
        ):
            row = np.isin(np.arange(ITEMS), own).astype(float)
            inverse = np.linalg.inv(gram - np.outer(row, row) + tried * np.eye(ITEMS))
            scores = (-inverse / np.diag(inverse))[support].sum(axis=0)
            scores[support] = -np.inf
            hits += [scores[item] >= np.sort(scores)[-FIRST] for item in query]
        shares.append(np.mean(hits))
    assert ridge == pytest.approx(RIDGES[int(np.argmax(shares))], rel=1e-2)


def test_content_speaks_by_the_cosine_of_rows_in_which_rare_columns_weigh_more():
    train = tasks(ordered=False)
    content = (np.random.default_rng(3).random((ITEMS, 5)) < 0.4).astype(np.float32)
    content[2] = 0  # of this one nothing is known
    evidence = Experts.fit(train, ITEMS, item_features=sp.csr_array(content), **SETTINGS)
    weighed = content / np.sqrt((content**2).sum(axis=0) + IDF_SMOOTHING)
    unit = weighed / np.maximum(np.linalg.norm(weighed, axis=1, keepdims=True), 1e-9)
    support = Examples(np.array([4, 0, 2]), np.ones(3, dtype=np.float32), np.array([0, 3]))
    said = raw(evidence, support)[0]
    assert said.shape == (ITEMS, 3)
    assert_allclose(said[:, 2], unit @ unit[[4, 0, 2]].sum(axis=0), rtol=1e-4, atol=1e-6)
    assert not said[2, 2].any()
    own = train.events.take(np.array([0]))
    first = own.window(np.array([0]), np.array([1]))
    assert_allclose(
        raw(evidence, first, own)[..., 2], raw(evidence, first)[..., 2]
    )  # it hangs on nobody's events
    again = Experts.restore(evidence.arrays())
    np.testing.assert_array_equal(again.scores(train.events), evidence.scores(train.events))


def test_content_begins_less_loud_than_what_users_did():
    train = tasks(ordered=False, users=300)
    content = sp.csr_array((np.random.default_rng(3).random((ITEMS, 5)) < 0.4).astype(np.float32))
    evidence = Experts.fit(train, ITEMS, item_features=content, **SETTINGS)
    batch = train.episodes(np.random.default_rng(1), 400, most_shots=10, queries=1)
    spread = evidence.scores(batch.support, batch.own).std(axis=1).mean(axis=0)
    assert_allclose(spread, [1, 1, 1 / CONTENT_DOWNWEIGHT], rtol=0.2)
