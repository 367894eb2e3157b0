"""docs/metrics.md lists every metric as the exporter has it."""

from pathlib import Path

from agent.exporter.catalogue import CATALOGUE, Kind

DOCS = Path(__file__).parents[2] / "docs" / "metrics.md"


def row(entry):
    name = f"{entry.name}_info" if entry.kind is Kind.INFO else entry.name
    return f"| `{name}` | {entry.kind.value} | {', '.join(entry.labels) or '-'} | {entry.help} |"


def test_every_metric_is_documented_and_no_other():
    found = [line for line in DOCS.read_text().splitlines() if line.startswith("| `vedette_")]
    wanted = [row(entry) for entry in CATALOGUE]
    assert found == wanted, "the table in docs/metrics.md should be:\n" + "\n".join(wanted)
