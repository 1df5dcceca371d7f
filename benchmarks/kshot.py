"""New users: every learner against the tuned baselines, by number of known events (k).

    python benchmarks/kshot.py --data DIR [--sets ml-1m,ml-100k] [--learners a,b,c]
        [--seed N] [--json OUT] [--html DIR]

DIR holds one folder for each data set. The targets compare the best learner with the best baseline
at each k, and every learner with popularity from two known events on.
"""

import argparse
from pathlib import Path
from typing import Any

from rich.console import Console

import warmstart as ws
from _environment import write_result
from warmstart.cli.progress import TrainingProgress

SETS = "ml-1m,ml-100k,lastfm-hetrec2011,citeulike-a,steam-200k,bookcrossing,amazon-beauty-seq"
LEARNERS = "gru4rec,blend,auto"  # besides the required baselines
GAINS = {1: 0.15, 2: 0.15, 3: 0.15, 5: 0.15, 10: 0.10, 20: 0.05}
GAIN_WITHOUT_EVENTS = 0.10  # over popularity, by the profile alone


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sets", default=SETS)
    parser.add_argument("--learners", default=LEARNERS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--html", type=Path, help="a folder for one HTML page for each data set")
    arguments = parser.parse_args()
    reports = {name: run(arguments.data / name, arguments) for name in arguments.sets.split(",")}
    found = {
        "benchmark": "kshot",
        "reports": {name: report.to_dict() for name, report in reports.items()},
        "targets": [target for name, report in reports.items() for target in targets(name, report)],
    }
    for target in found["targets"]:
        gain, wanted = f"{target['value']:+.1%}", f"{target['target']:+.0%}"
        print(f"{target['name']}: {gain}, target {wanted}, met: {target['met']}")
    write_result(arguments.json, found, [arguments.data / name for name in reports])


def run(folder: Path, arguments: argparse.Namespace) -> ws.Report:
    """The report of one data set, which is printed."""
    with TrainingProgress(Console(stderr=True)) as training:
        report = ws.evaluate(
            ws.read(folder),
            arguments.learners.split(","),
            seed=arguments.seed,
            callbacks=training.callbacks,
        )
    print(report)
    if arguments.html is not None:
        arguments.html.mkdir(parents=True, exist_ok=True)
        report.to_html(arguments.html / f"{folder.name}.html")
    return report


def targets(name: str, report: ws.Report) -> list[dict[str, Any]]:
    """The relative gain of the best learner over the best baseline at each number of shots."""
    found = []
    for shots, wanted in {0: GAIN_WITHOUT_EVENTS, **GAINS}.items():
        if shots not in report.shots:
            continue
        means = {row.learner: float(row.values["ndcg@10"][shots].mean()) for row in report.rows}
        best = max(means[row.learner] for row in report.rows if row.kind == "meta")
        baseline = means["popularity"] if shots == 0 else means[report.best_baseline(shots).learner]
        value = best / baseline - 1
        found.append(
            {"name": f"{name} k={shots}", "value": value, "target": wanted, "met": value >= wanted}
        )
    return [
        *found,
        *(
            above_popularity(name, row.learner, report)
            for row in report.rows
            if row.kind != "baseline"
        ),
    ]


def above_popularity(name: str, learner: str, report: ws.Report) -> dict[str, Any]:
    """The smallest relative gain of a learner over popularity from two known events on."""
    rows = {row.learner: row.values["ndcg@10"] for row in report.rows}
    shots = [k for k in report.shots if k >= 2]
    value = min(float(rows[learner][k].mean() / rows["popularity"][k].mean()) - 1 for k in shots)
    return {
        "name": f"{name} {learner} above popularity at k >= 2",
        "value": value,
        "target": 0.0,
        "met": value > 0,
    }


if __name__ == "__main__":
    main()
