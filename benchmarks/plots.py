"""The plots of docs/scenarios.md and docs/explanations.md, from the results of the benchmarks.

    python benchmarks/plots.py [--results benchmarks/results] [--out docs/plots]
        [--chromium chromium]

Each is drawn from the latest result of its benchmark. Chromium turns the charts into PNG files.
"""

import argparse
import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from warmstart.experiments.charts import BASELINE_GREYS, COLOURS, DASHES, apply_layout
from warmstart.training.registry import RECIPES

HERE = Path(__file__).parent
WIDTH, HEIGHT = 860, 400
PAGE = """<style>body{{margin:0;background:white}}</style>{chart}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--results", type=Path, default=HERE / "results")
    parser.add_argument("--out", type=Path, default=HERE.parent / "docs" / "plots")
    parser.add_argument("--chromium", default="chromium")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    charts = {
        "user": users(latest(arguments.results, "kshot-ml-1m")),
        "item": items(latest(arguments.results, "itemcold")),
        "session": sessions(latest(arguments.results, "session-diginetica")),
        "cross-domain": domains(latest(arguments.results, "crossdomain")),
        "fidelity": fidelity(latest(arguments.results, "explain")),
        "reasons": reasons(latest(arguments.results, "explain-example")),
    }
    for name, chart in charts.items():
        if chart is None:
            print(f"{name}: no result yet")
            continue
        draw(chart, arguments.out / f"{name}.png", arguments.chromium)
        print(arguments.out / f"{name}.png")


def latest(folder: Path, name: str) -> dict[str, Any] | None:
    """The newest result of that name."""
    found = sorted(folder.glob(f"????-??-??-{name}.json"))
    return json.loads(found[-1].read_text(encoding="utf-8")) if found else None


def users(result: dict[str, Any] | None) -> go.Figure | None:
    """nDCG@10 of new users by known events."""
    if result is None:
        return None
    rows = result["reports"]["ml-1m"]["results"]
    figure = make_subplots(rows=1, cols=1)
    for row, style in styled(rows):
        by_shots = row["metrics"]["ndcg@10"]
        line(
            figure,
            row["learner"],
            list(by_shots),
            [found["mean"] for found in by_shots.values()],
            style,
        )
    return labelled(figure, "known events", "nDCG@10")


def items(result: dict[str, Any] | None) -> go.Figure | None:
    """nDCG@10 of new items by known users, in both directions."""
    if result is None:
        return None
    questions = ("users for an item", "items for a user")
    figure = make_subplots(rows=1, cols=2, subplot_titles=questions)
    here = [row for row in result["rows"] if row["set"] == "ml-1m"]
    for column, question in enumerate(questions, start=1):
        for row, style in styled([row for row in here if row["question"] == question]):
            means = [found["mean"] for found in row["ndcg@10"].values()]
            line(figure, row["learner"], list(row["ndcg@10"]), means, style, column)
    return labelled(figure, "known users of the item", "nDCG@10")


def sessions(result: dict[str, Any] | None) -> go.Figure | None:
    """Recall@20 of the next click: intact sessions, after another session, with a frozen state."""
    if result is None:
        return None
    panels = {
        "cohort": "whole sessions",
        "spliced": "after another session",
        "frozen": "state frozen after 2 clicks",
    }
    figure = make_subplots(rows=1, cols=3, shared_yaxes=True, subplot_titles=list(panels.values()))
    for column, panel in enumerate(panels, start=1):
        for row, style in styled(
            [{"kind": RECIPES[row["learner"]].kind, **row} for row in result["rows"]]
        ):
            curve = row["interest"][panel]
            line(
                figure,
                row["learner"],
                [str(k + 1) for k in range(len(curve))],
                curve,
                style,
                column,
            )
    return labelled(figure, "clicks", "Recall@20 of the next click")


def domains(result: dict[str, Any] | None) -> go.Figure | None:
    """MRR of users new to a domain by the share of users known in both, with and without twins."""
    if result is None or not result.get("rows"):
        return None
    measures = {
        "mrr of 1000": "among 1,000 items",
        "mrr of all, no twins": "among all items, without twins",
    }
    figure = make_subplots(rows=1, cols=2, subplot_titles=list(measures.values()))
    target = result["rows"][0]["target"]
    here = [row for row in result["rows"] if row["target"] == target and row["shots"] == 0]
    learners = list(dict.fromkeys(row["learner"] for row in here))
    for column, measure in enumerate(measures, start=1):
        for first, style in styled(
            [next(row for row in here if row["learner"] == one) for one in learners]
        ):
            own = sorted(
                (row for row in here if row["learner"] == first["learner"]),
                key=lambda row: row["overlap"],
            )
            x = [f"{row['overlap']:.0%}" for row in own]
            line(figure, first["learner"], x, [row[measure]["mean"] for row in own], style, column)
    return labelled(figure, "of the users known in both", "MRR, nothing known in the target")


def fidelity(result: dict[str, Any] | None) -> go.Figure | None:
    """Deletion in the order of attributions, and of the best possible order, by learner."""
    if result is None:
        return None
    sets = list(dict.fromkeys(row["set"] for row in result["rows"]))
    figure = make_subplots(rows=1, cols=len(sets), shared_yaxes=True, subplot_titles=sets)
    marks = {
        "influence": ("circle", COLOURS[0]),
        "cosine": ("x", BASELINE_GREYS[0]),
        "random": ("line-ns-open", "black"),
    }
    for column, name in enumerate(sets, start=1):
        rows = [row for row in result["rows"] if row["set"] == name and row["best"] < 1]
        rows.sort(key=lambda row: -row["orders"]["influence"]["deletion"])
        learners = [row["learner"] for row in rows]
        for order, (symbol, colour) in marks.items():
            x = [row["orders"][order]["deletion"] for row in rows]
            points(
                figure, order, x, learners, {"symbol": symbol, "color": colour, "size": 9}, column
            )
        bound = [
            row["orders"]["influence"]["deletion"] - row["deletion_of_these"] + row["best"]
            for row in rows
        ]
        style = {"symbol": "line-ns-open", "color": COLOURS[1], "size": 12, "line": {"width": 2}}
        points(figure, "best possible order", bound, learners, style, column)
    figure.update_xaxes(title="discount left after deletion (lower is better)", range=[0.2, 1.0])
    return apply_layout(figure).update_layout(
        width=WIDTH, height=2 * HEIGHT, margin={"t": 40, "b": 90, "l": 110}
    )


def points(
    figure: go.Figure, name: str, x: list[float], y: list[str], marker: dict[str, Any], column: int
) -> None:
    figure.add_scatter(
        x=x,
        y=y,
        name=name,
        legendgroup=name,
        showlegend=column == 1,
        mode="markers",
        marker=marker,
        row=1,
        col=column,
    )


def reasons(result: dict[str, Any] | None) -> go.Figure | None:
    """The reasons for one item, and the change of the list by each event."""
    if result is None:
        return None
    explanation, steps = result["explanation"], result["insight"]["steps"]
    title = f"why {explanation['title']} has rank {explanation['rank']}"
    figure = make_subplots(
        rows=1, cols=2, horizontal_spacing=0.46, subplot_titles=(title, "mean change of rank")
    )
    parts = explanation["reasons"][::-1]
    kinds = {"prior": "before any event is known", "together": "all events in combination"}
    names = [
        one.get("title")
        or (f"{one['column']}={one['value']}" if "column" in one else kinds[one["kind"]])
        for one in parts
    ]
    colours = [COLOURS[0] if one["share"] > 0 else COLOURS[1] for one in parts]
    shares = [100 * one["share"] for one in parts]
    figure.add_bar(x=shares, y=names, orientation="h", marker={"color": colours}, row=1, col=1)
    moved, events = [step["moved"] for step in steps[::-1]], [step["title"] for step in steps[::-1]]
    figure.add_bar(x=moved, y=events, orientation="h", marker={"color": COLOURS[0]}, row=1, col=2)
    figure.update_xaxes(title="share of its margin over ten comparison items, %", col=1)
    figure.update_xaxes(title="of the first ten items", col=2)
    margin = {"t": 40, "b": 60, "l": 10, "r": 30}
    return apply_layout(figure).update_layout(
        width=WIDTH, height=HEIGHT, margin=margin, showlegend=False
    )


def styled(rows: list[dict[str, Any]]) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """The rows with the styles of their lines: baselines are grey and dashed."""
    found, baselines, others = [], 0, 0
    for row in rows:
        if row["kind"] in ("baseline", "baseline"):  # older results say classic
            cycle, grey = divmod(baselines, len(BASELINE_GREYS))
            dash = DASHES[(grey + cycle) % len(DASHES)]  # no grey twice with the same dashes
            found.append((row, {"color": BASELINE_GREYS[grey], "dash": dash, "width": 1.5}))
            baselines += 1
        else:
            found.append((row, {"color": COLOURS[others % len(COLOURS)], "width": 2.6}))
            others += 1
    return found


def line(
    figure: go.Figure,
    name: str,
    x: list[str],
    y: list[float],
    style: dict[str, Any],
    column: int = 1,
) -> None:
    figure.add_scatter(
        x=x,
        y=y,
        name=name,
        legendgroup=name,
        showlegend=column == 1,
        mode="lines+markers",
        line=style,
        row=1,
        col=column,
    )


def labelled(figure: go.Figure, x: str, y: str) -> go.Figure:
    figure.update_xaxes(title=x, type="category")
    figure.update_yaxes(title=y, col=1)
    return apply_layout(figure).update_layout(width=WIDTH, height=HEIGHT, margin={"t": 40, "b": 90})


def draw(figure: go.Figure, path: Path, chromium: str) -> None:
    """Write the chart as a PNG with twice its resolution."""
    chart = figure.to_html(full_html=False, include_plotlyjs=True, config={"staticPlot": True})
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "chart.html"
        page.write_text(PAGE.format(chart=chart), encoding="utf-8")
        command = [
            chromium,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            f"--user-data-dir={folder}/profile",
        ]
        command += [
            f"--window-size={WIDTH},{figure.layout.height}",
            "--force-device-scale-factor=2",
            "--hide-scrollbars",
        ]
        command += ["--virtual-time-budget=5000", f"--screenshot={path.resolve()}", page.as_uri()]
        subprocess.run(command, check=True, capture_output=True, timeout=120)


if __name__ == "__main__":
    main()
