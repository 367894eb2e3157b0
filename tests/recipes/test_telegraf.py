"""The Telegraf recipe, as far as it can be had without Telegraf: its own rules for topics, and fields that exist."""

import re
import sys
from datetime import datetime
from pathlib import Path

import pytest

from agent.delivery.messages import rfc3339
from agent.delivery.verify.schemas import schema

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

[CONSUMER] = tomllib.loads((Path(__file__).parents[2] / "docs/recipes/telegraf.conf").read_text())["inputs"][
    "mqtt_consumer"
]
PUBLISHED = {
    "vedette/north/box-1/camera/front": ("camera", {"site": "north", "device": "box-1", "camera": "front"}),
    "vedette/north/box-1/host": ("host", {"site": "north", "device": "box-1"}),
    "vedette/north/box-1/gpu/0": ("gpu", {"site": "north", "device": "box-1", "gpu": "0"}),
    "vedette/north/box-1/replay/camera/front": (
        "camera",
        {"site": "north", "device": "box-1", "camera": "front"},
    ),
    "vedette/north/box-1/replay/host": ("host", {"site": "north", "device": "box-1"}),
    "vedette/north/box-1/replay/gpu/0": ("gpu", {"site": "north", "device": "box-1", "gpu": "0"}),
}


def matches(pattern, topic):
    return re.fullmatch(pattern.replace("+", "[^/]+"), topic) is not None


@pytest.mark.parametrize("topic", PUBLISHED)
def test_a_topic_is_subscribed_once_and_becomes_measurement_and_tags(topic):
    assert sum(matches(pattern, topic) for pattern in CONSUMER["topics"]) == 1
    [rule] = [rule for rule in CONSUMER["topic_parsing"] if matches(rule["topic"], topic)]
    levels = topic.split("/")
    for key in ("measurement", "tags"):
        assert len(rule[key].split("/")) == len(levels), "Telegraf refuses rules of another length"
    [measurement] = [
        level for word, level in zip(rule["measurement"].split("/"), levels, strict=True) if word != "_"
    ]
    tags = {word: level for word, level in zip(rule["tags"].split("/"), levels, strict=True) if word != "_"}
    assert (measurement, tags) == PUBLISHED[topic]


def test_fields_it_names_are_published():
    for field in (*CONSUMER["json_string_fields"], CONSUMER["json_time_key"]):
        assert any(
            field in schema(family)["properties"]
            or any(re.search(p, field) for p in schema(family).get("patternProperties", {}))
            for family in ("camera", "host", "gpu")
        ), field


def test_times_are_as_it_reads_them():
    """Go's layout 2006-01-02T15:04:05Z07:00 takes a fraction of a second where there is one."""
    assert datetime.strptime(rfc3339(1.25), "%Y-%m-%dT%H:%M:%S.%f%z").microsecond == 250_000
