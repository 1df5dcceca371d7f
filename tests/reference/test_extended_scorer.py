"""Added items against weighted means written out."""

import numpy as np
import pytest
import scipy.sparse as sp

from warmstart.baselines import ItemKNN
from warmstart.cooccurrence.similarity import IDF_SMOOTHING
from warmstart.recommend.extended_scorer import (
    NEAREST,
    PRIOR_STRENGTH,
    SHRINKAGE,
    ExtendedScorer,
    similarity_weights,
)
from warmstart.tasks.tasks import Tasks

ITEMS, COLUMNS = 26, 6


@pytest.fixture
def world():
    rng = np.random.default_rng(0)
    known = (rng.random((ITEMS, COLUMNS)) < 0.4).astype(np.float32)
    new = np.concatenate([(rng.random((3, COLUMNS)) < 0.4), np.zeros((1, COLUMNS))]).astype(
        np.float32
    )
    return known, new, rng.integers(1, 40, ITEMS).astype(np.float32)


def nearest(similarity: np.ndarray) -> np.ndarray:
    kept = np.where(similarity >= np.sort(similarity)[-NEAREST], similarity, 0.0)
    return kept / kept.sum() if kept.sum() else kept


def test_the_weights_are_those_of_columns_and_users_written_out(world, examples):
    known, new, popular = world
    histories = [[1, 2, 3], [2, 9], [25, 1], [4]]
    users = [[0, 1], [], [3], []]
    found = similarity_weights(
        sp.csr_array(known), sp.csr_array(new), examples(users), examples(histories), popular
    ).toarray()
    weight = 1 / np.sqrt((known**2).sum(axis=0) + IDF_SMOOTHING)
    for row, columns, item_users in zip(found, new, users, strict=True):
        sizes = np.linalg.norm(known * weight, axis=1) * max(np.linalg.norm(columns * weight), 1e-9)
        of_columns = nearest((known * weight) @ (columns * weight) / np.maximum(sizes, 1e-9))
        both = np.array([sum(item in histories[h] for h in item_users) for item in range(ITEMS)])
        of_users = nearest(both / np.sqrt((len(item_users) + SHRINKAGE) * (popular + SHRINKAGE)))
        share = len(item_users) / (len(item_users) + PRIOR_STRENGTH)
        expected = share * of_users + (1 - share) * of_columns
        expected = expected / expected.sum() if expected.sum() else np.full(ITEMS, 1 / ITEMS)
        np.testing.assert_allclose(row, expected, atol=1e-5)


def test_a_new_item_scores_as_the_weighted_mean_and_the_most_similar_stands_for_it(world, examples):
    known, new, popular = world
    rng = np.random.default_rng(1)
    rows = [rng.permutation(ITEMS)[:6].tolist() for _ in range(40)]
    base = ItemKNN.fit(Tasks(examples(rows), ordered=False), items=ITEMS)
    similarity = similarity_weights(
        sp.csr_array(known), sp.csr_array(new), examples([[]] * 4), examples([]), popular
    )
    one = ExtendedScorer(base, similarity)
    scores = one.score(one.adapt(examples([[3, 5], [7, ITEMS + 1]])), np.arange(one.items))
    stand_in = int(similarity.toarray()[1].argmax())
    expected = base.score(base.adapt(examples([[3, 5], [7, stand_in]])), np.arange(ITEMS))
    np.testing.assert_allclose(scores[:, :ITEMS], expected, rtol=1e-6)
    np.testing.assert_allclose(scores[:, ITEMS:], expected @ similarity.toarray().T, rtol=1e-5)
