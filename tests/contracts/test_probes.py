"""What every probe must keep, whatever machine it finds itself on."""

from __future__ import annotations

import math
import re

import pytest

from agent.config.schema import TelemetrySettings
from agent.core.errors import ProbeUnavailable
from agent.telemetry import PROBES

FIELD = re.compile(r"[a-z][a-z0-9_]*")
UNIT = re.compile(r".*_(seconds|bytes|ratio|celsius|watts|hertz|total|per_second)")
PLAIN = re.compile(
    r"load_(1|5|15)m|process_(threads|files)|throttled|throttle_reasons|.*_(name|state|state_reason|lost)"
    r"|gpu_(pcie_(generation|width)|performance_state|mig_mode)"
)


@pytest.fixture(params=PROBES)
def probe(request, tmp_path):
    made = PROBES.load(request.param).of(TelemetrySettings(), tmp_path)
    yield made
    made.close()


def opened(probe):
    try:
        probe.open()
    except ProbeUnavailable as error:
        assert str(error)
        pytest.skip(f"not on this machine: {error}")
    return probe


def test_absent_hardware_is_told_and_leaves_nothing(probe):
    """Opening gives a probe that reads, or says what is missing; again and again."""
    for _ in range(2):
        try:
            probe.open()
        except ProbeUnavailable as error:
            assert str(error)
        else:
            assert isinstance(probe.read(), list)
        probe.close()
        probe.close()


def test_facts_are_cheap_before_open_and_flat(probe):
    facts = probe.facts()
    assert all(FIELD.fullmatch(name) for name in facts)
    assert all(value is None or isinstance(value, (int, float, str, bool)) for value in facts.values())


def test_readings_are_flat_named_with_units_and_finite(probe):
    for _ in range(2):
        readings = opened(probe).read()
        assert len({reading.entity for reading in readings}) == len(readings)
        for reading in readings:
            assert re.fullmatch(r"host|gpu/\d+", reading.entity)
            for name, value in reading.values.items():
                assert UNIT.fullmatch(name) or PLAIN.fullmatch(name), name
                assert isinstance(value, str) or math.isfinite(value)
