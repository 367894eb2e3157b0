"""Writes the tables of docs/wire.md and the descriptions in the schemas from the table of payloads.

The example of each family is a message that an agent published: docs/payloads.json.

python scripts/wire_page.py [--check]
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "wire.md"
EXAMPLES = ROOT / "docs" / "payloads.json"
WIDTH = 112  # characters of a line of an example
SCHEMAS = ROOT / "agent" / "delivery" / "schemas"
BEGIN, END = "<!-- fields: written by scripts/wire_page.py -->\n", "<!-- end of fields -->\n"
sys.path.insert(0, str(ROOT))

from agent.core.metrics.payload_fields import IDENTITY, WINDOW, PayloadField  # noqa: E402  (as in metrics_page)
from agent.core.metrics.payloads import fields_of  # noqa: E402  (as above)
from agent.delivery.messages import FAMILIES  # noqa: E402  (as above)
from agent.features import SPECS  # noqa: E402  (as above)

TOPICS = {
    "status": "`status`",
    "info": "`info`",
    "host": "`host`",
    "gpu": "`gpu/<n>`",
    "camera": "`camera/<name>`",
    "sketch": "`sketch/<name>`",
    "accuracy": "`accuracy/<name>`, and `accuracy` for all cameras together",
    "advice": "`advice/<name>`",
    "alert": "`alert/<id>`",
    "reply": "`reply/<id>` (and the result of the command)",
}
THINNED = ("host", "gpu", "camera")
SENT = {
    "ALWAYS": "always",
    "NOT_ZERO": "not zero",
    "NEAR_LIMIT": "near its limit",
    "CHANGED": "changed",
    "COMPLETE": "complete",
}
UNITS = {"ratio": "0..1", "celsius": "°C", "watts": "W", "hertz": "Hz", "fps": "frames/s", "seconds": "s"}
UNITS |= {"state": "0 or 1", "times": "× its limit", "total": "count, grows", "": "–"}


def tables() -> Iterator[str]:
    """The tables of all families, each with an example."""
    examples = json.loads(EXAMPLES.read_text(encoding="utf-8"))
    yield from _table("In every payload", IDENTITY, thinned=False)
    yield from _table("Also in `camera`, `sketch`, `host` and `gpu`", WINDOW, thinned=False)
    for family in FAMILIES:
        own = [one for one in fields_of(family) if one not in IDENTITY and one not in WINDOW]
        yield from _table(TOPICS[family], own, thinned=family in THINNED)
        yield f"```json\n{example(examples[family])}\n```\n\n"
    units = ", ".join(f"`{spec.name}` {spec.unit}" for spec in SPECS if spec.unit)
    yield f"Units of the [features](features.md): {units}.\n\n"


def _table(title: str, fields: Any, *, thinned: bool) -> Iterator[str]:
    yield f"### {title}\n\n"
    yield (
        "| field | unit | sent | what |\n|---|---|---|---|\n"
        if thinned
        else "| field | unit | what |\n|---|---|---|\n"
    )
    for one in fields:
        name = re.sub(r"\{(\w+)\}", r"<\1>", one.name)
        sent = f" {SENT[one.sent.name]} |" if thinned else ""
        yield f"| `{name}` | {UNITS.get(one.unit, one.unit)} |{sent} {one.doc} |\n"
    yield "\n"


def example(payload: dict[str, Any]) -> str:
    """A payload as JSON in lines of some width, a field never broken but by its own length."""
    lines = ["{"]
    for name, value in payload.items():
        field = f"{json.dumps(name)}: {json.dumps(value, ensure_ascii=False)},"
        if len(lines) > 1 and len(lines[-1]) + len(field) < WIDTH:
            lines[-1] += f" {field}"
        else:
            lines.append(f"  {field}")
    return "\n".join([*lines[:-1], lines[-1].removesuffix(","), "}"])


def page(text: str) -> str:
    """The page `text` with the tables of today's fields."""
    head, _, rest = text.partition(BEGIN)
    return f"{head}{BEGIN}\n{''.join(tables())}{END}{rest.partition(END)[2]}"


def schema(text: str, family: str) -> str:
    """The schema `text` of a family, with every field described."""
    made = json.loads(text)
    patterns = {
        name: rule for name, rule in made.get("patternProperties", {}).items() if "description" not in rule
    }
    kept = {
        name: rule for name, rule in made.get("patternProperties", {}).items() if "contentEncoding" in rule
    }
    described = {}
    for one in fields_of(family):
        if one.pattern.pattern == re.escape(one.name):
            rule = made["properties"].setdefault(one.name, {"type": list(one.json_types)})
            rule["description"] = one.doc
        elif not one.name.endswith("_kll"):
            described[_anchored(one)] = {"type": list(one.json_types), "description": one.doc}
    if patterns or kept or described:
        made["patternProperties"] = {**kept, **described, **patterns}
    return json.dumps(made, indent=2, ensure_ascii=False) + "\n"


def _anchored(one: PayloadField) -> str:
    """A pattern that JSON Schema knows: its groups have no names there."""
    return f"^(?:{re.sub(r'[(][?]P<[a-z]+>', '(?:', one.pattern.pattern)})$"


def main() -> int:
    """Write page and schemas, or only say whether they are up to date."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where a file is stale")
    args = parser.parse_args()
    files = {PAGE: page(PAGE.read_text(encoding="utf-8"))}
    for family in FAMILIES:
        path = SCHEMAS / f"{family}.json"
        files[path] = schema(path.read_text(encoding="utf-8"), family)
    stale = [path for path, text in files.items() if path.read_text(encoding="utf-8") != text]
    for path in stale:
        if args.check:
            print(f"{path.relative_to(ROOT)} is stale: python scripts/wire_page.py")
        else:
            path.write_text(files[path], encoding="utf-8")
    return int(args.check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
