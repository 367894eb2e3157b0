"""Write what was measured: all of it as JSON, and as Markdown tables."""

from __future__ import annotations

import json
import statistics
from collections import defaultdict
from pathlib import Path
from typing import Any

from gpu_parts.steps import Results

BARE = "bare"


def write(folder: Path, machine: dict[str, Any], results: Results) -> None:
    """gpu.json and gpu.md in `folder`; called again and again, so that an early end loses nothing."""
    folder.mkdir(parents=True, exist_ok=True)
    whole = {"machine": machine, "rows": results.rows, "ends": results.ends}
    (folder / "gpu.json").write_text(json.dumps(whole, indent=1) + "\n")
    (folder / "gpu.md").write_text(markdown(machine, results))


def markdown(machine: dict[str, Any], results: Results) -> str:
    """Every table, the agent's ratios to the bare loop, and how each step ended."""
    tables: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in results.rows:
        tables[row["table"]].append(
            {name: value for name, value in row.items() if name not in ("step", "table")}
        )
    parts = ["# On a GPU", "", *(f"- {name}: {value}" for name, value in machine.items())]
    for title, rows in tables.items():
        parts += ["", f"## {title}", "", *table(rows)]
    if ratios := to_bare(tables.get("the whole agent", [])):
        parts += ["", "## the whole agent, to the bare loop in the same round", "", *table(ratios)]
    parts += ["", "## how the steps ended", "", *table(results.ends)]
    return "\n".join(parts) + "\n"


def table(rows: list[dict[str, Any]]) -> list[str]:
    """A Markdown table; a column for each name that some row has, in order of appearance."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    lines += ["| " + " | ".join(_cell(row.get(name, "")) for name in names) + " |" for row in rows]
    return lines


def _cell(value: Any) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")


def to_bare(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Frames/s of each contender over the best bare loop of its round: median, lowest, highest."""
    bare: dict[int, float] = {}
    for row in rows:
        if row["contender"].startswith(BARE):
            bare[row["round"]] = max(bare.get(row["round"], 0.0), row["fps"])
    ratios: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        if bare.get(row["round"]):
            ratios[row["contender"]].append(row["fps"] / bare[row["round"]])
    return [
        {
            "contender": name,
            "rounds": len(values),
            "of bare": round(statistics.median(values), 3),
            "lowest": round(min(values), 3),
            "highest": round(max(values), 3),
        }
        for name, values in ratios.items()
    ]
