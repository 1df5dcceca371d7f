"""Size: five million rows are read, checked and fitted without trouble."""

import time

import numpy as np
import polars as pl
import pytest

import warmstart as ws
from warmstart.evaluation.resources import PeakMemory

pytestmark = pytest.mark.slow


def test_five_million_rows_are_read_and_fitted(tmp_path):
    rng = np.random.default_rng(0)
    rows = 5_000_000
    popular = rng.zipf(1.3, size=rows) % 20_000
    table = pl.DataFrame(
        {
            "user": rng.integers(0, 100_000, rows),
            "item": pl.Series(popular).cast(pl.String),
            "rating": rng.integers(1, 6, rows),
            "timestamp": rng.integers(0, 10**9, rows),
        }
    )
    table.write_csv(tmp_path / "large.csv")
    del table
    begun = time.perf_counter()
    with PeakMemory() as memory:
        log = ws.read(tmp_path / "large.csv")
    assert time.perf_counter() - begun < 120
    assert memory.mb < 6000
    assert len(log.users) == 100_000 and len(log) > 4_900_000
    model = ws.fit(log, learner="item-knn", settings={"neighbours": 50, "shrink": 50.0})
    assert len(model.recommend(["1", "2"], 10).items) == 10
