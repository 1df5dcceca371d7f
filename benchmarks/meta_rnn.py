"""Meta-RNN against the descent it generalises: do learned gates beat the best fixed rate for a new
user?

python benchmarks/meta_rnn.py --data DIR [--set ml-1m] [--rates 0.03,0.1,0.3,1] [--seed 0] [--json
OUT]

The rival has the same head, the same learned start and the same training, but its gates are (rate,
1). Its rate is the one that is best on the validation users; the figures are of test users,
differences paired.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

import warmstart as ws
from warmstart.evaluation.bootstrap import HIGH, LOW, difference, holm, resampled_means
from warmstart.evaluation.evaluate import SHOTS, evaluate
from warmstart.evaluation.validation import overall
from warmstart.tasks.scenarios import BENCHMARK, cut
from warmstart.tasks.tasks import Split
from warmstart.training import registry as recipes
from warmstart.training.tuning import Fitted, Order

NDCG = "ndcg@10"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--set", default="ml-1m")
    parser.add_argument("--rates", default="0.03,0.1,0.3,1")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    split = cut(
        ws.read(arguments.data / arguments.set), "user", seed=arguments.seed, shares=BENCHMARK
    )
    rates = [0.0, *(float(rate) for rate in arguments.rates.split(","))]  # 0: the gates are learned
    fitted = {
        rate: recipes.fit(
            "meta-rnn",
            Order(split, seed=arguments.seed, settings={"fixed_rate": rate} if rate else {}),
        )
        for rate in track(rates, description="training", console=Console(stderr=True))
    }
    found = compared(fitted, split, arguments.seed)
    show(arguments.set, found)
    if arguments.json is not None:
        arguments.json.write_text(
            json.dumps(found, indent=1, allow_nan=False) + "\n", encoding="utf-8"
        )


def compared(fitted: dict[float, Fitted], split: Split, seed: int) -> dict[str, Any]:
    """Learned gates against the fixed rate that is best on validation, by number of shots."""
    gated = fitted.pop(0.0)
    best = max(fitted, key=lambda rate: overall(fitted[rate].valid))
    shots = [k for k in SHOTS if k > 0]
    ours, theirs = (
        evaluate(one.scorer, split.test, shots=shots).values[NDCG] for one in (gated, fitted[best])
    )
    differences = []
    for k in shots:
        gain = (ours[k] - theirs[k])[:, None]
        differences.append(difference(gain[:, 0], resampled_means(gain, seed=seed)[:, 0]))
    adjusted = holm([one.p for one in differences])
    means = np.stack([sum(one[k] for k in shots) / len(shots) for one in (ours, theirs)], axis=1)
    drawn = resampled_means(means, seed=seed)
    low, high = np.percentile(drawn[:, 0] / drawn[:, 1] - 1, [LOW, HIGH])
    return {
        "benchmark": "meta_rnn",
        "valid": {"learned gates": overall(gated.valid), **{f"rate {r}": overall(f.valid) for r, f in fitted.items()}},
        "best_rate": best,
        "results": [
            {"shots": k, "learned": ours[k].mean(), "fixed": theirs[k].mean(), "difference": one.mean, "low": one.low,
             "high": one.high, "p": p}
            for k, one, p in zip(shots, differences, adjusted, strict=True)
        ],
        "targets": [
            {"name": "learned gates over the best fixed rate, mean over k >= 1",
             "value": float(means[:, 0].mean() / means[:, 1].mean() - 1), "low": float(low), "high": float(high),
             "target": 0.0, "met": bool(low > 0)}
        ],
    }  # fmt: skip


def show(name: str, found: dict[str, Any]) -> None:
    table = Table(
        title=f"{name}: nDCG@10 by number of known events, learned gates against rate {found['best_rate']}"
    )
    for column in ("k", "learned", "fixed", "difference", "95 % interval", "p (Holm)"):
        table.add_column(column, justify="right")
    for row in found["results"]:
        interval = f"{row['low']:+.4f} to {row['high']:+.4f}"
        cells = (
            f"{row['learned']:.4f}",
            f"{row['fixed']:.4f}",
            f"{row['difference']:+.4f}",
            interval,
        )
        table.add_row(str(row["shots"]), *cells, f"{row['p']:.3f}")
    Console().print(table)
    print("validation:", ", ".join(f"{name} {value:.4f}" for name, value in found["valid"].items()))
    for target in found["targets"]:
        interval = f"{target['low']:+.1%} to {target['high']:+.1%}"
        print(f"{target['name']}: {target['value']:+.1%} ({interval}), met: {target['met']}")


if __name__ == "__main__":
    main()
