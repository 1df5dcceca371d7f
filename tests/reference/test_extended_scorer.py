"""New items against means written out."""

import numpy as np
import pytest
import scipy.sparse as sp

from warmstart.baselines import ItemKNN
from warmstart.cooccurrence.similarity import IDF_SMOOTHING
from warmstart.recommend.extended_scorer import CAUTION, NEAREST, RARE, ExtendedScorer, likeness
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


def nearest(alike: np.ndarray) -> np.ndarray:
    kept = np.where(alike >= np.sort(alike)[-NEAREST], alike, 0.0)
    return kept / kept.sum() if kept.sum() else kept


def test_what_a_new_item_is_like_is_the_mean_written_out(world, examples):
    known, new, popular = world
    histories = [[1, 2, 3], [2, 9], [25, 1], [4]]
    met_by = [[0, 1], [], [3], []]
    found = likeness(
        sp.csr_array(known), sp.csr_array(new), examples(met_by), examples(histories), popular
    ).toarray()
    weight = 1 / np.sqrt((known**2).sum(axis=0) + IDF_SMOOTHING)
    for row, columns, own in zip(found, new, met_by, strict=True):
        sizes = np.linalg.norm(known * weight, axis=1) * max(np.linalg.norm(columns * weight), 1e-9)
        by_columns = nearest((known * weight) @ (columns * weight) / np.maximum(sizes, 1e-9))
        together = np.array([sum(item in histories[h] for h in own) for item in range(ITEMS)])
        by_events = nearest(together / np.sqrt((len(own) + RARE) * (popular + RARE)))
        heard = len(own) / (len(own) + CAUTION)
        expected = heard * by_events + (1 - heard) * by_columns
        expected = expected / expected.sum() if expected.sum() else np.full(ITEMS, 1 / ITEMS)
        np.testing.assert_allclose(row, expected, atol=1e-5)


def test_a_new_item_scores_as_the_mean_of_its_likes_and_is_heard_as_the_first(world, examples):
    known, new, popular = world
    rng = np.random.default_rng(1)
    rows = [rng.permutation(ITEMS)[:6].tolist() for _ in range(40)]
    base = ItemKNN.fit(Tasks(examples(rows), ordered=False), items=ITEMS)
    alike = likeness(
        sp.csr_array(known), sp.csr_array(new), examples([[]] * 4), examples([]), popular
    )
    one = ExtendedScorer(base, alike)
    scores = one.score(one.adapt(examples([[3, 5], [7, ITEMS + 1]])), np.arange(one.items))
    heard = int(alike.toarray()[1].argmax())
    plain = base.score(base.adapt(examples([[3, 5], [7, heard]])), np.arange(ITEMS))
    np.testing.assert_allclose(scores[:, :ITEMS], plain, rtol=1e-6)
    np.testing.assert_allclose(scores[:, ITEMS:], plain @ alike.toarray().T, rtol=1e-5)
