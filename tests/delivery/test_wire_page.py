"""docs/wire.md and the schemas say of every field what it is, and are those of today's table."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from agent.core.metrics.payloads import fields_of
from agent.delivery.messages import FAMILIES
from agent.delivery.verify.schemas import schema, schema_text, violations

ROOT = Path(__file__).resolve().parents[2]


def test_page_and_schemas_are_those_of_today():
    done = subprocess.run(
        [sys.executable, "scripts/wire_page.py", "--check"],
        cwd=ROOT,
        timeout=60,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("family", FAMILIES)
def test_every_field_says_what_it_is_once(family):
    names = [one.name for one in fields_of(family)]
    assert len(set(names)) == len(names)
    for one in fields_of(family):
        assert one.doc.endswith((".", "...")), one.name
        assert one.unit or one.name in {"drift_psi", "drift_psi_limit"} or family == "gpu", one.name


@pytest.mark.parametrize("family", FAMILIES)
def test_every_field_is_described_in_its_schema(family):
    properties = schema(family)["properties"]
    for one in fields_of(family):
        if "{" not in one.name:
            assert properties[one.name]["description"] == one.doc
    assert json.loads(schema_text(family))["additionalProperties"] is not None


@pytest.mark.parametrize("family", FAMILIES)
def test_the_page_has_a_valid_example_of_every_payload(family):
    examples = json.loads((ROOT / "docs" / "payloads.json").read_text())
    assert examples.keys() == set(FAMILIES)
    assert examples[family]["schema"].partition("/")[0] == family
    assert violations(family, examples[family]) == []
    page = (ROOT / "docs" / "wire.md").read_text()
    assert examples[family] in [
        json.loads(block) for block in re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    ]
