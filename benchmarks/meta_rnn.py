"""Meta-RNN against plain gradient descent: are learned gates better than the best fixed rate?

    python benchmarks/meta_rnn.py --data DIR [--set ml-1m] [--rates 0.03,0.1,0.3,1] [--seed 0]
        [--json OUT]

Gradient descent has the same head, the same learned initial weights and the same training, but its
gates are (rate, 1). Its rate is the best one on the validation users; the values are of test users,
and differences are paired.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

import warmstart as ws
from _environment import write_result
from warmstart.evaluation.bootstrap import HIGH, LOW, difference, holm, resampled_means
from warmstart.evaluation.evaluate import SHOTS, evaluate
from warmstart.evaluation.validation import overall
from warmstart.tasks.cutting import BENCHMARK
from warmstart.tasks.scenarios import cut
from warmstart.tasks.split import Split
from warmstart.training import registry as recipes
from warmstart.training.requests import FitRequest, Fitted

NDCG = "ndcg@10"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
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
            FitRequest(split, seed=arguments.seed, settings={"fixed_rate": rate} if rate else {}),
        )
        for rate in track(rates, description="training", console=Console(stderr=True))
    }
    found = compared(fitted, split, arguments.seed)
    show(arguments.set, found)
    write_result(arguments.json, found, [arguments.data / arguments.set])


def compared(fitted: dict[float, Fitted], split: Split, seed: int) -> dict[str, Any]:
    """Learned gates against the best fixed rate on validation, by number of shots."""
    gated = fitted.pop(0.0)
    best = max(fitted, key=lambda rate: overall(fitted[rate].valid))
    shots = [k for k in SHOTS if k > 0]
    learned, fixed = (
        evaluate(one.scorer, split.test, shots=shots).values[NDCG] for one in (gated, fitted[best])
    )
    means = np.stack([sum(one[k] for k in shots) / len(shots) for one in (learned, fixed)], axis=1)
    drawn = resampled_means(means, seed=seed)
    low, high = np.percentile(drawn[:, 0] / drawn[:, 1] - 1, [LOW, HIGH])
    target = {
        "name": "learned gates over the best fixed rate, mean over k >= 1",
        "value": float(means[:, 0].mean() / means[:, 1].mean() - 1),
        "low": float(low),
        "high": float(high),
        "target": 0.0,
        "met": bool(low > 0),
    }
    by_rate = {f"rate {rate}": overall(one.valid) for rate, one in fitted.items()}
    return {
        "benchmark": "meta_rnn",
        "valid": {"learned gates": overall(gated.valid), **by_rate},
        "best_rate": best,
        "results": differences(learned, fixed, seed),
        "targets": [target],
    }


def differences(
    learned: Mapping[int, np.ndarray], fixed: Mapping[int, np.ndarray], seed: int
) -> list[dict[str, Any]]:
    """The paired difference at each number of shots, with Holm-adjusted p-values."""
    found = []
    for k in learned:
        gain = (learned[k] - fixed[k])[:, None]
        found.append(difference(gain[:, 0], resampled_means(gain, seed=seed)[:, 0]))
    adjusted = holm([one.p for one in found])
    return [
        {
            "shots": k,
            "learned": learned[k].mean(),
            "fixed": fixed[k].mean(),
            "difference": one.mean,
            "low": one.low,
            "high": one.high,
            "p": p,
        }
        for k, one, p in zip(learned, found, adjusted, strict=True)
    ]


def show(name: str, found: dict[str, Any]) -> None:
    title = (
        f"{name}: nDCG@10 by number of known events, learned gates and rate {found['best_rate']}"
    )
    table = Table(title=title)
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
