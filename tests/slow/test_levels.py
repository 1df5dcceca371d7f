"""Levels: on MovieLens 1M the learners reach what was measured for them, or better."""

import pytest

import warmstart as ws

pytestmark = pytest.mark.slow

SHOTS = (1, 2, 3, 5, 10, 20)
MEASURED = {
    "item-knn": (0.0911, 0.1077, 0.1208, 0.1341, 0.1453, 0.1545),
    "ease": (0.0817, 0.0978, 0.1129, 0.1330, 0.1616, 0.1788),
    "als": (0.0940, 0.1115, 0.1276, 0.1387, 0.1607, 0.1800),
    "in-context": (0.1071, 0.1227, 0.1356, 0.1510, 0.1731, 0.1834),
}
"""nDCG@10 on another draw of test users, at 1, 2, 3, 5, 10 and 20 shots."""


def test_everybody_reaches_the_measured_level_within_the_interval(data_folder):
    report = ws.evaluate(ws.read(data_folder / "ml-1m"), ["in-context"], shots=SHOTS)
    below = [
        (learner, shots)
        for learner, levels in MEASURED.items()
        for shots, level in zip(SHOTS, levels, strict=True)
        if report.intervals[learner, "ndcg@10", shots].high < level
    ]
    assert below == []
