"""Learning curves: the same test users for all shares, and the share needed, by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest

import warmstart as ws
from warmstart.errors import UsageError
from warmstart.experiments.learning_curve import LearningCurve
from warmstart.experiments.report import Report
from warmstart.experiments.results import Row

SHOTS = (0, 5)


def row(learner: str, kind: str, level: float, metric: str = "ndcg@10") -> Row:
    return Row(
        learner=learner, kind=kind, values={metric: {k: np.full(4, level) for k in SHOTS}},
        coverage={}, calibration={}, valid=level, fit_seconds=1.0, tune_seconds=0.0,
        tasks_per_second=1.0, adapt_ms=1.0, batch_adapt_ms=1.0, peak_mb=1.0, settings={},
        training="",
    )  # fmt: skip


def report(levels: dict[str, float], tasks: int) -> Report:
    kinds = dict.fromkeys(("popularity", "item-knn", "ease", "als"), "baseline") | {
        "fine-tune": "transfer"
    }
    rows = tuple(
        row(name, kinds.get(name, "meta"), levels.get(name, 0.1))
        for name in [*kinds, "few", "many", "never"]
    )
    facts = {"name": "made up", "train_tasks": tasks, "test_tasks": 4, "items": 9}
    return Report(facts, "user", "ranking", SHOTS, rows, seed=0)


@pytest.fixture
def curve() -> LearningCurve:
    levels = [
        {"ease": 0.15, "few": 0.10, "many": 0.12, "never": 0.19},
        {"ease": 0.18, "few": 0.22, "many": 0.14, "never": 0.19},
        {"ease": 0.20, "few": 0.24, "many": 0.20, "never": 0.19},
    ]
    return LearningCurve(
        (0.01, 0.1, 1.0),
        tuple(report(level, n) for level, n in zip(levels, (7, 70, 700), strict=True)),
    )


def test_what_a_learner_needs_is_read_off_its_curve_between_two_shares(curve):
    assert curve.baseline_level == ("ease", 0.2)
    assert curve.share_to_match("few") == pytest.approx(0.01 ** (1 - 10 / 12) * 0.1 ** (10 / 12))
    assert curve.share_to_match("many") == pytest.approx(1.0)
    assert curve.share_to_match("never") is None


def test_a_learner_that_starts_above_the_baseline_needs_at_most_the_smallest_share(curve):
    first = curve.reports[0]
    better = replace(
        first,
        rows=tuple(row(r.learner, r.kind, 0.3) if r.learner == "few" else r for r in first.rows),
    )
    found = replace(curve, reports=(better, *curve.reports[1:]))
    assert found.share_to_match("few") == 0.01
    assert "with at most 1 % of them" in found.summary


def test_the_summary_names_the_learner_that_needs_the_smallest_share(curve):
    assert curve.summary == (
        "few reaches what ease reaches with all training users (nDCG@10 .2000, mean over k) "
        f"with {100 * curve.share_to_match('few'):.0f} % of them."
    )


def test_of_errors_the_smaller_is_the_better():
    def rated(bias: float, learned: float) -> Report:
        rows = tuple(
            row(name, kind, level, "mae")
            for name, kind, level in (
                ("bias", "baseline", bias),
                ("fine-tune", "transfer", 0.9),
                ("r", "meta", learned),
            )
        )
        return Report({"name": "x", "train_tasks": 5}, "user", "rating", SHOTS, rows, seed=0)

    found = LearningCurve((0.1, 1.0), (rated(0.8, 0.78), rated(0.74, 0.70)))
    assert found.baseline_level == ("bias", 0.74)
    assert found.share_to_match("r") == pytest.approx(math.sqrt(0.1))
    assert found.share_to_match("fine-tune") is None


def test_table_json_and_page_hold_the_curves(curve, tmp_path):
    curve.to_json(tmp_path / "curve.json")
    curve.to_html(tmp_path / "curve.html")
    assert curve.to_dict()["curves"]["few"] == pytest.approx([0.10, 0.22, 0.24])
    assert curve.to_dict()["needs"]["never"] is None
    page = (tmp_path / "curve.html").read_text()
    assert "few reaches what ease reaches" in page and "src=" not in page.split("<script>")[0]


def test_all_shares_are_tested_on_the_same_users_and_learn_from_fewer(log):
    found = ws.learning_curve(
        log, ["ridge"], [1.0, 0.2], shots=[0, 3], settings={"dim": 8, "steps": 20}
    )
    small, largest = found.reports
    assert found.shares == (0.2, 1.0)
    assert small.dataset["train_tasks"] == round(0.2 * largest.dataset["train_tasks"])
    assert small.dataset["test_tasks"] == largest.dataset["test_tasks"]
    assert [len(r.values["ndcg@10"][3]) for r in small.rows] == [
        len(r.values["ndcg@10"][3]) for r in largest.rows
    ]


def test_one_share_is_no_curve(log):
    with pytest.raises(UsageError, match="at least two shares"):
        ws.learning_curve(log, ["ridge"], [0.5, 0.5])


@pytest.mark.parametrize("share", [0.0, 1.2, -0.1])
def test_a_share_is_above_nothing_and_at_most_all(log, share):
    with pytest.raises(UsageError, match="above 0 and at most 1"):
        ws.evaluate(log, [], train_share=share)
