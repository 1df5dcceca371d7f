"""Draw the packages and their imports from the code: docs/packages.svg.

    python tools/draw_packages.py            # writes the drawing
    python tools/draw_packages.py --check    # exit code 1 where it is out of date

Each row is a layer of the contract "Imports go down" in pyproject.toml; an arrow is at least one
import, the thicker the more.
"""

import argparse
import sys
import tomllib
from collections import Counter
from html import escape
from pathlib import Path
from typing import NamedTuple

import grimp

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs" / "packages.svg"
WIDTH, GAP, PAD, LINE, TITLE, BETWEEN = 1280, 16, 10, 14, 22, 46  # pixels
COLOURS = (
    "#e8eefc",
    "#e3f2ec",
    "#fdf1dc",
    "#f6e6ee",
    "#ece8f7",
    "#e6f0f5",
    "#f1f1ee",
    "#f1f1ee",
    "#f1f1ee",
)


class Box(NamedTuple):
    """One package: its name, the lines of text in it, and its place in the picture."""

    name: str
    lines: list[str]
    x: float
    y: float
    width: float
    height: float
    colour: str


def layers() -> list[list[str]]:
    """The rows of packages, from the interfaces down, as import-linter's contract has them."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    rows = next(one["layers"] for one in contracts if one["name"] == "Imports go down")
    return [[name.strip() for name in row.replace("|", ":").split(":")] for row in rows]


def modules(graph: grimp.ImportGraph, package: str) -> list[str]:
    """The modules below a package, sub-packages with their modules in brackets."""
    found = []
    for child in sorted(graph.find_children(f"warmstart.{package}")):
        name = child.rsplit(".", 1)[1]
        below = sorted(one.rsplit(".", 1)[1] for one in graph.find_children(child))
        found.append(f"{name} ({', '.join(below)})" if below else name)
    return found


def wrapped(names: list[str], width: float) -> list[str]:
    """Names in lines that fit a box; a letter is about 6.1 pixels wide."""
    lines, room = [""], int((width - 2 * PAD) / 6.1)
    for word in ", ".join(names).split(" "):
        if len(lines[-1]) + len(word) + 1 > room and lines[-1]:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


def boxes(graph: grimp.ImportGraph) -> list[Box]:
    placed, y = [], float(GAP)
    for row, colour in zip(layers(), COLOURS, strict=False):
        weights = [max(len(", ".join(modules(graph, name))), 75) ** 0.7 for name in row]
        room = WIDTH - GAP * (len(row) + 1)
        widths = [room * weight / sum(weights) for weight in weights]
        texts = [
            wrapped(modules(graph, name), width) for name, width in zip(row, widths, strict=True)
        ]
        height = TITLE + PAD + LINE * max(len(text) for text in texts)
        x = float(GAP)
        for name, width, text in zip(row, widths, texts, strict=True):
            placed.append(Box(name, text, x, y, width, height, colour))
            x += width + GAP
        y += height + BETWEEN
    return placed


def arrows(graph: grimp.ImportGraph) -> Counter[tuple[str, str]]:
    """How many imports go from one package to another."""
    found: Counter[tuple[str, str]] = Counter()
    for importer in graph.modules:
        for imported in graph.find_modules_directly_imported_by(importer):
            ends = importer.split(".")[1:2], imported.split(".")[1:2]
            if ends[0] and ends[1] and ends[0] != ends[1]:
                found[ends[0][0], ends[1][0]] += 1
    return found


def svg(graph: grimp.ImportGraph) -> str:
    placed = {box.name: box for box in boxes(graph)}
    height = max(box.y + box.height for box in placed.values()) + GAP
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" '
        'font-family="Helvetica, Arial, sans-serif" font-size="11.5">',
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        'markerHeight="7" markerUnits="userSpaceOnUse" orient="auto">'
        '<path d="M0 0L8 4L0 8z" fill="#7a86a0"/></marker></defs>',
        f'<rect width="{WIDTH}" height="{height:.0f}" fill="white"/>',
    ]
    lines = sorted(arrows(graph).items())
    parts += [
        _arrow(placed[a], placed[b], count)
        for (a, b), count in lines
        if a in placed and b in placed
    ]
    parts += [_box(box) for box in placed.values()]
    return "\n".join([*parts, "</svg>"]) + "\n"


def _arrow(upper: Box, lower: Box, count: int) -> str:
    """A curve from the bottom of one box to the top of another, or along a row."""
    width = min(0.6 + 0.15 * count, 3.0)
    if abs(upper.y - lower.y) < 1:
        right = lower.x > upper.x
        x1 = upper.x + upper.width if right else upper.x
        x2 = lower.x if right else lower.x + lower.width
        y = upper.y + upper.height
        middle = (upper.x + lower.x + (upper.width + lower.width) / 2) / 2
        x1, x2 = upper.x + upper.width / 2, lower.x + lower.width / 2
        path = f"M{x1:.0f} {y:.0f}Q{middle:.0f} {y + 30:.0f} {x2:.0f} {y + 1:.0f}"
    else:
        x1, y1 = upper.x + upper.width / 2, upper.y + upper.height
        x2, y2 = lower.x + lower.width / 2, lower.y
        path = f"M{x1:.0f} {y1:.0f}C{x1:.0f} {y1 + 40:.0f} {x2:.0f} {y2 - 40:.0f} {x2:.0f} {y2:.0f}"
    return (
        f'<path d="{path}" fill="none" stroke="#7a86a0" stroke-opacity="0.45" '
        f'stroke-width="{width:.2f}" marker-end="url(#tip)"/>'
    )


def _box(box: Box) -> str:
    text = "".join(
        f'<text x="{box.x + PAD:.0f}" y="{box.y + TITLE + LINE * (i + 1) - 3:.0f}" fill="#444">'
        f"{escape(line)}</text>"
        for i, line in enumerate(box.lines)
    )
    return (
        f'<rect x="{box.x:.0f}" y="{box.y:.0f}" width="{box.width:.0f}" '
        f'height="{box.height:.0f}" rx="6" fill="{box.colour}" stroke="#9aa4b8"/>'
        f'<text x="{box.x + PAD:.0f}" y="{box.y + 17:.0f}" font-weight="bold" font-size="14" '
        f'fill="#1b2a4a">{escape(box.name)}</text>{text}'
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="whether the drawing is up to date")
    arguments = parser.parse_args()
    drawing = svg(grimp.build_graph("warmstart", cache_dir=None))
    if arguments.check:
        current = PICTURE.read_text(encoding="utf-8") if PICTURE.exists() else ""
        if current != drawing:
            print(f"{PICTURE.name} is out of date: run python tools/draw_packages.py")
        return int(current != drawing)
    PICTURE.write_text(drawing, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
