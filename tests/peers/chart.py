#!/usr/bin/env python3
"""Draws chart.svg from the table of peers in README.md beside it. Needs nothing but Python.

Every number in the picture is one of the table, as it is written there. One panel is one column; bars begin at zero. Colours are
of middle brightness and the ground is transparent, so that it reads on light and on dark pages.
"""

import re
from pathlib import Path

HERE = Path(__file__).parent
TITLE = "## The flagship against its peers"
# Column of the table, what the panel says.
PANELS = [(1, "one tile of 64x64, T=5, x4"), (4, "training step, batch 4"), (3, "peak memory of the process")]
NAMES = {"PyTorch": "PyTorch", "ONNX Runtime": "ONNX Runtime", "OpenVINO": "OpenVINO", "vsr": "vsr"}
INK, OURS, THEIRS = "#737b85", "#d1662c", "#8b949e"
WIDTH, LABEL, NUMBER, BAR, GAP = 760, 130, 90, 18, 6


def table():
    """The rows of the first table under the title: name, then cells as they are written."""
    text = (HERE / "README.md").read_text(encoding="utf-8").split(TITLE)[1]
    lines = [line for line in text.split("\n## ")[0].splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]
    return [[next(n for k, n in NAMES.items() if row[0].startswith(k))] + row[1:] for row in rows]


def text(x, y, words, anchor="start", colour=INK, weight="600"):
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" fill="{colour}" font-weight="{weight}">{words}</text>'


def panel(top, title, cells):
    """One column as bars, and where the next panel begins."""
    out, y = [text(2, top + 14, title, weight="bold")], top + 26
    value = {name: float(re.match(r"[\d.]+", cell).group()) for name, cell in cells}
    room = WIDTH - LABEL - NUMBER
    for name, cell in cells:
        colour, weight = (OURS, "bold") if name == "vsr" else (THEIRS, "600")
        long = room * value[name] / max(value.values())
        out.append(text(LABEL - 10, y + 14, name, "end", OURS if name == "vsr" else INK, weight))
        out.append(f'<rect x="{LABEL}" y="{y}" width="{long:.1f}" height="{BAR}" rx="2" fill="{colour}"/>')
        out.append(text(round(LABEL + long + 8, 1), y + 14, cell, "start", OURS if name == "vsr" else INK, weight))
        y += BAR + GAP
    return out, y + 14


def main():
    rows, body, y = table(), [], 0
    for column, title in PANELS:
        cells = [(row[0], row[column]) for row in rows if column < len(row) and row[column]]
        part, y = panel(y, title, cells)
        body += part
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y - 8}" width="{WIDTH}" height="{y - 8}" '
        'font-family="system-ui, sans-serif" font-size="14" role="img">\n'
        "<title>The flagship on 2 cores of an AMD EPYC (Zen 5), f32: shorter is better</title>\n"
    )
    (HERE / "chart.svg").write_text(head + "\n".join(body) + "\n</svg>\n", encoding="utf-8")


if __name__ == "__main__":
    main()
