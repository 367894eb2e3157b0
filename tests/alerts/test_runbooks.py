"""Every default rule has its page, and every page its rule, or the dashboard that raises it."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.alerts.rules import compile_rules
from agent.dashboard.web.recorder import OFFLINE

PAGES = Path(__file__).parents[2] / "docs" / "runbooks"
RULES = {rule.name: rule for rule in compile_rules()}


def test_pages_and_rules_are_the_same():
    assert {path.stem for path in PAGES.glob("*.md")} == {*RULES, OFFLINE, "README"}


@pytest.mark.parametrize("name", RULES)
def test_a_page_shows_the_rule_as_it_is(name):
    text = (PAGES / f"{name}.md").read_text()
    rule = RULES[name]
    assert rule.runbook == f"docs/runbooks/{name}.md"
    assert f"Rule `{name}`: `{rule.shown_condition()}`, severity {rule.severity.value}." in text
    assert all(part in text for part in ("## What it means", "## What to check", "## What to do"))
    assert f"({name}.md)" in (PAGES / "README.md").read_text()
