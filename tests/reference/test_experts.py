"""The closed-form experts against sums written out, and leave-one-out against a fit without the
task.
"""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose

from warmstart.cooccurrence.gram import gram_inverse
from warmstart.cooccurrence.similarity import IDF_SMOOTHING
from warmstart.ensemble.closed_form import item_matrix
from warmstart.ensemble.ease_ridge import RIDGE_SEARCH_TASKS, RIDGES
from warmstart.ensemble.experts import CONTENT_DOWNWEIGHT, Experts
from warmstart.ensemble.profile_regression import ProfileRegression
from warmstart.tasks.examples import Examples
from warmstart.tasks.tasks import DEFAULT_HORIZON, Tasks

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
        for a, b in zip(examples.offsets[:-1], examples.offsets[1:], strict=True)
    ]


def raw(experts: Experts, *what: Examples) -> np.ndarray:
    """The scores of the experts before they are divided by their spread."""
    return experts.scores(*what) * experts.spread


@pytest.mark.parametrize(("ordered", "again"), [(False, False), (True, False), (True, True)])
@pytest.mark.parametrize(("dense", "users"), [(True, 25), (False, 25), (False, 9)])
@pytest.mark.parametrize("limit", [ITEMS, 7])
def test_leave_one_out_scores_are_those_of_a_fit_without_the_task(
    ordered, again, limit, dense, users
):
    train = tasks(ordered=ordered, again=again, users=users)
    whole = Experts.fit(train, ITEMS, limit=limit, **SETTINGS)
    whole = whole if dense else sparse(whole, train)
    for task, shots in [(0, 0), (1, 1), (2, 3), (7, 2), (8, 5)]:
        own = train.events.take(np.array([task]))
        support = own.window(np.array([0]), np.minimum(np.array([shots]), own.counts - 1))
        others = train.events.take(np.delete(np.arange(len(train)), task))
        # The kept items stay those of the whole fit, whichever task is left out.
        without = Experts.fit(Tasks(only(others, whole.kept_items), ordered), limit, **SETTINGS)
        assert_allclose(
            raw(whole, support, own),
            raw(without, only(support, whole.kept_items)),
            rtol=1e-4,
            atol=1e-5,
        )


def sparse(experts: Experts, train: Tasks) -> Experts:
    """The experts as in a large catalogue: sparse matrices, and the inverse by the smaller side."""
    matrix = train.all_events.matrix(ITEMS)[:, experts.kept_items]
    transitions = experts.transitions
    return replace(
        experts,
        inverse=gram_inverse(matrix, RIDGE, max_dense_items=0),
        cooccurrence=item_matrix(sp.csr_array(experts.cooccurrence), max_dense_items=0),
        transitions=None
        if transitions is None
        else item_matrix(sp.csr_array(transitions), max_dense_items=0),
    )


def only(examples: Examples, items: np.ndarray) -> Examples:
    """The examples of these items, in codes of their own."""
    rows = [
        [items.tolist().index(item) for item in row if item in items] for row in rows_of(examples)
    ]
    flat = np.array([item for row in rows for item in row], dtype=np.int64)
    start = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64)
    return Examples(flat, np.ones(len(flat), dtype=np.float32), start)


def test_scores_of_a_batch_are_those_of_each_task_alone():
    train = tasks(ordered=True)
    experts = Experts.fit(train, ITEMS, limit=9, **SETTINGS)
    own = train.events.take(np.array([3, 3, 8, 20]))
    support = own.window(np.zeros(4, dtype=int), np.minimum(np.array([1, 4, 0, 2]), own.counts - 1))
    batch = experts.scores(support, own)
    assert batch.shape == (4, 9, 4) and batch.dtype == np.float32
    for t in range(4):
        one = np.array([t])
        assert_allclose(
            batch[t : t + 1],
            experts.scores(support.take(one), own.take(one)),
            rtol=1e-5,
            atol=1e-6,
        )


@pytest.mark.parametrize("limit", [ITEMS, 7])
def test_scores_of_each_expert_are_the_sums_written_out(limit):
    train = tasks(ordered=True)
    experts = Experts.fit(train, ITEMS, limit=limit, **SETTINGS)
    kept = experts.kept_items.tolist()
    counts = np.bincount(train.events.item, minlength=ITEMS)
    assert sorted(counts[kept]) == sorted(counts)[-limit:]
    histories = [[item for item in row if item in kept] for row in rows_of(train.events)]
    support = [item for item in (4, 0, 9, 2) if item in kept]
    scores = raw(
        experts, Examples(np.array([4, 0, 9, 2]), np.ones(4, dtype=np.float32), np.array([0, 4]))
    )[0]

    met = np.array([[item in row for item in kept] for row in histories], dtype=float)
    inverse = np.linalg.inv(met.T @ met + RIDGE * np.eye(limit))
    weights = -inverse / np.diag(inverse)
    positions = [kept.index(item) for item in support]
    others = [position for position in range(limit) if position not in positions]
    assert_allclose(
        scores[others, 0], weights[np.ix_(positions, others)].sum(axis=0), rtol=1e-4, atol=1e-5
    )

    n = met.sum(axis=0)
    cosines = (met.T @ met) / np.sqrt(np.outer(n + SHRINK, n + SHRINK))
    assert_allclose(scores[:, 1], cosines[positions].sum(axis=0), rtol=1e-4)

    transitions = np.zeros((limit, limit))
    for row in histories:
        for i, first in enumerate(row):
            for gap, second in enumerate(row[i + 1 : i + 1 + WINDOW], start=1):
                transitions[kept.index(first), kept.index(second)] += gap**-0.5
    shares = transitions / (n[:, None] + SHRINK) / np.sqrt(n + SHRINK)
    assert_allclose(scores[:, 2], shares[positions].sum(axis=0), rtol=1e-4)
    newest_first = 1 / (1 + np.arange(len(positions)))[::-1]
    assert_allclose(scores[:, 3], newest_first @ shares[positions], rtol=1e-4)


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize(("dense", "users"), [(True, 25), (False, 25), (False, 9)])
@pytest.mark.parametrize("limit", [ITEMS, 7])
def test_scores_of_a_few_items_are_those_among_all(limit, dense, users, again):
    rng = np.random.default_rng(0)
    content = sp.csr_array((rng.random((ITEMS, 9)) < 0.4).astype(np.float32))
    profile = sp.csr_array((rng.random((users, 6)) < 0.5).astype(np.float32))
    train = replace(tasks(ordered=True, again=again, users=users), profile=profile)
    experts = Experts.fit(train, ITEMS, limit=limit, item_features=content, **SETTINGS)
    experts = experts if dense else sparse(experts, train)
    if experts.profile_regression is None:  # it was dropped, since popularity hits more
        regression = ProfileRegression.fit(
            profile, train.all_events.matrix(ITEMS)[:, experts.kept_items], ridge=3.0
        )
        experts = replace(
            experts,
            profile_regression=regression,
            spread=np.append(experts.spread, np.float32(2.0)),
        )
    support, few = train.events.take(np.array([3, 8, 5])), np.array([11, 0, 5, 4])
    scores = experts.scores(support, None, profile[[3, 8, 5]])
    whole = np.zeros((3, ITEMS, experts.n_experts), dtype=np.float32)
    whole[:, experts.kept_items] = scores
    assert_allclose(
        experts.score_subset(support, profile[[3, 8, 5]], few),
        whole[:, few],
        rtol=1e-4,
        atol=1e-5,
    )


def test_content_attribution_is_what_is_lost_without_the_columns():
    rng = np.random.default_rng(0)
    content = sp.csr_array((rng.random((ITEMS, 9)) < 0.4).astype(np.float32))
    train = tasks(ordered=True)
    experts = Experts.fit(train, ITEMS, limit=9, item_features=content, **SETTINGS)
    support, marked = train.events.take(np.array([3])), np.arange(9) < 4
    item = int(experts.kept_items[2])
    fewer = experts.content.toarray()
    fewer[2, marked] = 0.0
    without = replace(experts, content=sp.csr_array(fewer))
    assert item not in support.item
    lost = experts.scores(support)[0, 2, 2] - without.scores(support)[0, 2, 2]
    assert_allclose(
        experts.content_attribution(support, item, [marked, ~marked])[0],
        lost,
        rtol=1e-4,
        atol=1e-6,
    )
    assert lost != 0
    absent = int(np.setdiff1d(np.arange(ITEMS), experts.kept_items)[0])
    assert_allclose(experts.content_attribution(support, absent, [marked]), 0)


def test_without_a_time_order_there_are_no_transitions():
    experts = Experts.fit(tasks(ordered=False), ITEMS)
    assert experts.transitions is None and experts.n_experts == 2


def test_experts_have_equal_spread():
    train = tasks(ordered=True, users=300)
    experts = Experts.fit(train, ITEMS, **SETTINGS)
    batch = train.episodes(np.random.default_rng(1), 400, max_shots=10, queries=1)
    spread = experts.scores(batch.support, batch.task_events).std(axis=1).mean(axis=0)
    assert_allclose(spread, np.ones(4), rtol=0.2)


def test_scores_are_the_same_after_a_restore():
    train = tasks(ordered=True)
    experts = Experts.fit(train, ITEMS, limit=9, **SETTINGS)
    again = Experts.restore(experts.arrays())
    np.testing.assert_array_equal(again.scores(train.events), experts.scores(train.events))


def test_the_ridge_chosen_has_the_best_leave_one_out_hit_rate():
    train = tasks(ordered=False, users=40)
    chosen = Experts.fit(train, ITEMS)
    met = train.events.matrix(ITEMS).toarray().astype(float)
    gram = met.T @ met
    inverse = chosen.inverse.left_multiply(sp.csr_array(np.eye(ITEMS, dtype=np.float32))).astype(
        float
    )
    ridge = (np.linalg.inv(inverse) - gram).diagonal().mean()
    batch = train.episodes(
        np.random.default_rng(0), RIDGE_SEARCH_TASKS, max_shots=20, queries=DEFAULT_HORIZON
    )
    shares = []
    for ridge_tried in RIDGES:
        hits: list[bool] = []
        for support, query, own in zip(
            *map(rows_of, (batch.support, batch.query, batch.task_events)), strict=True
        ):
            row = np.isin(np.arange(ITEMS), own).astype(float)
            inverse = np.linalg.inv(gram - np.outer(row, row) + ridge_tried * np.eye(ITEMS))
            scores = (-inverse / np.diag(inverse))[support].sum(axis=0)
            scores[support] = -np.inf
            hits += [scores[item] >= np.sort(scores)[-FIRST] for item in query]
        shares.append(np.mean(hits))
    assert ridge == pytest.approx(RIDGES[int(np.argmax(shares))], rel=1e-2)


def test_content_scores_are_cosines_with_inverse_frequency_weights():
    train = tasks(ordered=False)
    content = (np.random.default_rng(3).random((ITEMS, 5)) < 0.4).astype(np.float32)
    content[2] = 0  # an item without content
    experts = Experts.fit(train, ITEMS, item_features=sp.csr_array(content), **SETTINGS)
    weighted = content / np.sqrt((content**2).sum(axis=0) + IDF_SMOOTHING)
    unit = weighted / np.maximum(np.linalg.norm(weighted, axis=1, keepdims=True), 1e-9)
    support = Examples(np.array([4, 0, 2]), np.ones(3, dtype=np.float32), np.array([0, 3]))
    scores = raw(experts, support)[0]
    assert scores.shape == (ITEMS, 3)
    assert_allclose(scores[:, 2], unit @ unit[[4, 0, 2]].sum(axis=0), rtol=1e-4, atol=1e-6)
    assert not scores[2, 2].any()
    own = train.events.take(np.array([0]))
    first = own.window(np.array([0]), np.array([1]))
    assert_allclose(
        raw(experts, first, own)[..., 2], raw(experts, first)[..., 2]
    )  # content needs no leave-one-out
    again = Experts.restore(experts.arrays())
    np.testing.assert_array_equal(again.scores(train.events), experts.scores(train.events))


def test_content_starts_at_a_smaller_scale_than_cooccurrence():
    train = tasks(ordered=False, users=300)
    content = sp.csr_array((np.random.default_rng(3).random((ITEMS, 5)) < 0.4).astype(np.float32))
    experts = Experts.fit(train, ITEMS, item_features=content, **SETTINGS)
    batch = train.episodes(np.random.default_rng(1), 400, max_shots=10, queries=1)
    spread = experts.scores(batch.support, batch.task_events).std(axis=1).mean(axis=0)
    assert_allclose(spread, [1, 1, 1 / CONTENT_DOWNWEIGHT], rtol=0.2)
