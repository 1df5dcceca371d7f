"""Reports: refused without baselines, true to their values, readable as table, JSON and page."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from warmstart.errors import UsageError
from warmstart.evaluation.interest_drift import CLICKS, InterestDrift
from warmstart.experiments.charts import drift_figure, quality_figure
from warmstart.experiments.html import render_report, summary
from warmstart.experiments.report import Report
from warmstart.experiments.results import Row
from warmstart.experiments.tables import format_count, format_metric, leaderboard

SHOTS = (0, 1, 2, 3, 5, 10, 20)


def row(learner: str, kind: str, level: float) -> Row:
    rng = np.random.default_rng(7)
    spread = rng.normal(0, 0.05, 200)  # the same users for all learners
    return Row(
        learner=learner,
        kind=kind,
        values={
            metric: {k: level * factor + 0.002 * k + spread for k in SHOTS}
            for metric, factor in (("ndcg@10", 1.0), ("recall@20", 1.2), ("mrr", 2.0))
        },
        coverage=dict.fromkeys(SHOTS, 0.25),
        calibration=dict.fromkeys(SHOTS, 0.0321) if learner == "ridge" else {},
        valid=level,
        fit_seconds=1201.3,
        tune_seconds=4.0,
        tasks_per_second=12_345.6,
        adapt_ms=0.21,
        batch_adapt_ms=0.004,
        peak_mb=2812.0,
        settings={"l2": 3.0},
        training="validation was best at step 100 of 600" if kind == "meta" else "",
    )


@pytest.fixture
def report() -> Report:
    baselines = [("popularity", 0.09), ("item-knn", 0.11), ("ease", 0.13), ("als", 0.12)]
    rows = [row(name, "baseline", level) for name, level in baselines]
    rows += [row("fine-tune", "transfer", 0.115), row("ridge", "meta", 0.12)]
    rows.append(row("<b>in-context</b>", "meta", 0.15))
    facts = {
        "name": "a & b", "events": 1000, "users": 300, "items": 50, "order": "time",
        "explicit": True, "train_tasks": 210, "valid_tasks": 30, "test_tasks": 200,
        "least_events": 25, "asked": 20, "candidates": 50,
    }  # fmt: skip
    return Report(facts, "user", "ranking", SHOTS, tuple(rows), seed=0)


def test_a_report_without_the_baselines_is_refused(report):
    some = tuple(row for row in report.rows if row.learner not in ("ease", "als"))
    with pytest.raises(
        UsageError,
        match="lacks the required baselines ease, als: a figure says nothing without tuned",
    ):
        replace(report, rows=some)


def test_a_report_without_transfer_learning_is_refused(report):
    with pytest.raises(UsageError, match="lacks the required baselines fine-tune"):
        replace(report, rows=tuple(row for row in report.rows if row.learner != "fine-tune"))


def test_transfer_learning_stands_between_the_baselines_and_the_meta_learners(report):
    names = [row.learner for row in report.ordered_rows]
    assert names == [
        "popularity",
        "item-knn",
        "als",
        "ease",
        "fine-tune",
        "ridge",
        "<b>in-context</b>",
    ]


def test_a_learner_that_is_no_better_than_popularity_is_named_with_the_reason(report):
    weak, weaker = row("weak", "meta", 0.09), row("bias", "baseline", 0.05)
    extended = replace(report, rows=(*report.rows, weak, weaker))
    assert report.below_trivial_baseline == {}
    assert extended.below_trivial_baseline == {
        "weak": "no better than popularity at k = 2, 3, 5, 10, 20: "
        "validation was best at step 100 of 600",
        "bias": "no better than popularity at k = 2, 3, 5, 10, 20: "
        "it predicts how well items are rated, not which items are chosen next",
    }
    assert "weak: no better than popularity at k = 2, 3, 5, 10, 20" in str(extended)
    assert "weak: no better than popularity at k = 2, 3, 5, 10, 20" in render_report(extended)
    results = {result["learner"]: result for result in extended.to_dict()["results"]}
    assert (
        results["weak"]["shortfall"].startswith("no better than popularity")
        and results["ridge"]["shortfall"] is None
    )


def test_calibration_is_shown_for_learners_that_estimate_their_uncertainty(report):
    results = {result["learner"]: result for result in report.to_dict()["results"]}
    assert results["ridge"]["metrics"]["calibration_error"]["5"] == {"mean": 0.0321}
    assert "calibration_error" not in results["ease"]["metrics"]
    assert "Expected calibration error" in str(report) and ".0321" in str(report)
    page = render_report(report)
    assert "Expected calibration error" in page and "<td>.0321</td>" in page
    without = replace(report, rows=tuple(replace(row, calibration={}) for row in report.rows))
    assert "Expected calibration error" not in str(without)
    assert "Expected calibration error" not in render_report(without)


def test_a_rating_report_without_bias_is_refused(report):
    with pytest.raises(UsageError, match="lacks the required baselines bias"):
        replace(report, objective="rating")


def test_the_json_has_the_documented_shape(report, tmp_path):
    report.to_json(tmp_path / "report.json")
    found = json.loads((tmp_path / "report.json").read_text())
    assert (
        found["scenario"] == "user"
        and found["shots"] == list(SHOTS)
        and found["dataset"]["name"] == "a & b"
    )
    ease = next(result for result in found["results"] if result["learner"] == "ease")
    assert ease["kind"] == "baseline" and ease["valid"] == 0.13
    assert set(ease["metrics"]) == {"ndcg@10", "recall@20", "mrr", "coverage@10"}
    assert set(ease["metrics"]["ndcg@10"]) == {str(k) for k in SHOTS}
    first = ease["metrics"]["ndcg@10"]["0"]
    assert first["low"] < first["mean"] < first["high"]
    assert (ease["fit_seconds"], ease["adapt_ms"], ease["peak_mb"]) == (1201.3, 0.21, 2812)


def test_the_values_are_the_means_over_users(report):
    ease = next(row for row in report.rows if row.learner == "ease")
    assert report.intervals["ease", "mrr", 5].mean == pytest.approx(ease.values["mrr"][5].mean())


def test_every_other_learner_is_compared_with_the_best_baseline(report):
    found = {(one.learner, one.shots): one for one in report.against_best_baseline}
    assert set(found) == {
        (name, k) for name in ("fine-tune", "ridge", "<b>in-context</b>") for k in SHOTS
    }
    assert all(one.baseline == "ease" for one in found.values())
    better, worse = found["<b>in-context</b>", 3], found["ridge", 3]
    assert better.difference.mean == pytest.approx(0.02) and better.significant
    assert worse.difference.mean == pytest.approx(-0.01)


def test_the_table_fits_the_terminal_and_marks_significant_gains(report):
    console = Console(width=80 + len("<b></b>"), record=True)  # a real name is that much shorter
    console.print(leaderboard(report))
    lines = console.export_text().splitlines()
    assert max(map(len, lines)) <= 87
    text = "\n".join(lines)
    assert "…" not in text
    line = next(line for line in lines if "<b>in-context</b>" in line)
    assert line.count("*") == len(SHOTS)
    assert "*" not in next(line for line in lines if "ridge" in line)


def test_a_report_prints_itself_and_writes_its_page(report, tmp_path):
    assert (
        "popularity" in str(report) and "Means over all k" in str(report) and "12k" in str(report)
    )
    report.to_html(tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text() == render_report(report)


def test_large_numbers_are_short():
    assert [format_count(count) for count in (0.4, 999.0, 1234.0, 12_345.0, 3_456_789.0)] == [
        "0",
        "999",
        "1.2k",
        "12k",
        "3.5M",
    ]


def test_numbers_keep_four_figures():
    assert [format_metric(0.12345), format_metric(0.7312), format_metric(12.345)] == [
        ".1235",
        ".7312",
        "12.345",
    ]


def test_the_page_needs_no_network_and_escapes_names(report):
    text = render_report(report)
    own = text.replace(_plotly(), "")
    assert not re.search(r"(src|href)\s*=", own)
    assert "http" not in own
    assert "<b>in-context" not in own.replace("\\u003c", "<").split("<script>")[0]
    assert "a &amp; b" in own
    for row in report.rows:
        assert row.learner.replace("<", "&lt;").replace(">", "&gt;") in own


def test_among_many_learners_only_the_best_have_a_band(report):
    bands = sum(trace["showlegend"] is False for trace in figures(report))
    assert bands == 3 * len(report.rows)  # one for each metric
    crowd = [row(f"learner {i}", "meta", 0.1 + 0.001 * i) for i in range(9)]
    traces = figures(replace(report, rows=(*report.rows, *crowd)))
    bands = {trace["legendgroup"] for trace in traces if trace["showlegend"] is False}
    assert bands == {"popularity", "als", "ease", "ridge", "<b>in-context</b>"}
    assert {trace["name"] for trace in traces if "name" in trace} == {
        r.learner for r in (*report.rows, *crowd)
    }


def figures(report: Report) -> list[dict]:
    """The curves of the page."""
    return [
        {"showlegend": True, **trace} for trace in quality_figure(report).to_plotly_json()["data"]
    ]


def test_the_summary_names_the_best_learner_and_its_gain(report):
    assert re.search(
        r"in-context.*after one known event \+16 % against ease \(\+16 to \+16 %\)", summary(report)
    )


def test_the_summary_without_one_or_ten_shots_still_gives_a_gain(report):
    assert re.search(
        r"after 3 known events \+15 % against ease", summary(replace(report, shots=(0, 3)))
    )


def test_the_summary_can_be_made_if_baselines_reach_nothing(report):
    rows = [
        replace(row, values={
            metric: {k: np.zeros_like(v) for k, v in by_shots.items()}
            for metric, by_shots in row.values.items()
        })
        if row.kind == "baseline" else row
        for row in report.rows
    ]  # fmt: skip
    assert "after one known event the best baseline, popularity, reaches 0" in summary(
        replace(report, rows=tuple(rows))
    )


def _plotly() -> str:
    from plotly.offline import get_plotlyjs

    return get_plotlyjs()


def test_a_page_of_sessions_shows_how_each_learner_follows_an_interest(report):
    curve = np.linspace(0.3, 0.5, CLICKS)
    found = InterestDrift(
        intact=curve, frozen=curve - 0.1, concatenated=np.linspace(0.1, 0.5, CLICKS), sessions=321
    )
    rows = tuple(replace(one, interest=found) for one in report.rows)
    rows += tuple(
        replace(report.rows[0], learner=name, interest=found) for name in ("session-knn", "gru4rec")
    )
    sessions = replace(
        report, rows=rows, scenario="session", dataset={**report.dataset, "asked": 1}
    )
    text = render_report(sessions)
    assert "321 sessions of more than 8 clicks" in text and 'id="drift"' in text
    assert (
        "200 sessions, which no learner has seen" in text
        and "the next one is to be predicted" in text
    )
    figure = drift_figure(sessions)
    assert len(figure.data) == 3 * len(rows) and figure.data[0].y[0] == 0.3
    assert sessions.to_dict()["results"][0]["interest"]["recovery"] == 8
    assert "interest changes" not in render_report(report) and 'id="drift"' not in render_report(
        report
    )
