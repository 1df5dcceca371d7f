"""k-shot user cold-start: every learner against the tuned classics, by number of known events.

python benchmarks/kshot.py --data DIR [--sets ml-1m,ml-100k] [--learners a,b,c] [--seed N] [--json
OUT] [--html DIR]

DIR holds one folder for each data set. The targets compare the best learner with the best classic
at each k, and every learner with popularity from two known events on.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from rich.console import Console

import warmstart as ws
from warmstart.cli.progress import TrainingProgress

SETS = "ml-1m,ml-100k,lastfm-hetrec2011,citeulike-a,steam-200k,bookcrossing,amazon-beauty-seq"
LEARNERS = "gru4rec,blend,auto"  # beside the classics and transfer learning, which every report has
GAINS = {1: 0.15, 2: 0.15, 3: 0.15, 5: 0.15, 10: 0.10, 20: 0.05}
AT_NO_SHOTS = 0.10  # over popularity, by the profile


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sets", default=SETS)
    parser.add_argument("--learners", default=LEARNERS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    parser.add_argument(
        "--html", type=Path, help="a folder for one page of curves for each data set"
    )
    arguments = parser.parse_args()
    reports = {name: run(arguments.data / name, arguments) for name in arguments.sets.split(",")}
    found = {
        "benchmark": "kshot",
        "reports": {name: report.to_dict() for name, report in reports.items()},
        "targets": [target for name, report in reports.items() for target in targets(name, report)],
    }
    for target in found["targets"]:
        print(
            f"{target['name']}: {target['value']:+.1%}, target {target['target']:+.0%}, met: {target['met']}"
        )
    if arguments.json is not None:
        arguments.json.write_text(
            json.dumps(found, indent=1, allow_nan=False) + "\n", encoding="utf-8"
        )


def run(folder: Path, arguments: argparse.Namespace) -> ws.Report:
    """One data set's report, printed when it is made."""
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
    """The relative gain of the best learner over the best classic at each number of shots."""
    found = []
    for shots, wanted in {0: AT_NO_SHOTS, **GAINS}.items():
        if shots not in report.shots:
            continue
        means = {row.learner: float(row.values["ndcg@10"][shots].mean()) for row in report.rows}
        best = max(means[row.learner] for row in report.rows if row.kind == "meta")
        bar = means["popularity"] if shots == 0 else means[report.best_baseline(shots).learner]
        value = best / bar - 1
        found.append(
            {"name": f"{name} k={shots}", "value": value, "target": wanted, "met": value >= wanted}
        )
    return [
        *found,
        *(
            above_popularity(name, row.learner, report)
            for row in report.rows
            if row.kind != "classic"
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
