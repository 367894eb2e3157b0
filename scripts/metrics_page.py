"""Writes the table of metrics in docs/metrics.md from the catalogue: python scripts/metrics_page.py [--check]."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "metrics.md"
sys.path.insert(0, str(ROOT))

from agent.core.metrics.definition import MetricKind  # noqa: E402  (the package stands beside this folder)
from agent.exporter.catalogue import CATALOGUE, ExportedMetric  # noqa: E402  (as above)


def row(metric: ExportedMetric) -> str:
    """The line of one metric."""
    name = f"{metric.name}_info" if metric.kind is MetricKind.INFO else metric.name
    return f"| `{name}` | {metric.kind.value} | {', '.join(metric.labels) or '-'} | {metric.help} |"


def written(text: str) -> str:
    """The page `text` with the rows of today's catalogue."""
    lines = text.splitlines(keepends=True)
    rows = [number for number, line in enumerate(lines) if line.startswith("| `vedette_")]
    return "".join([*lines[: rows[0]], *(f"{row(metric)}\n" for metric in CATALOGUE), *lines[rows[-1] + 1 :]])


def main() -> int:
    """Write the page, or only say whether it is up to date."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where the page is stale")
    args = parser.parse_args()
    text = PAGE.read_text(encoding="utf-8")
    if not args.check:
        PAGE.write_text(written(text), encoding="utf-8")
    return int(args.check and written(text) != text)


if __name__ == "__main__":
    sys.exit(main())
