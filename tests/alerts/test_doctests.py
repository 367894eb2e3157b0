"""The examples in the docstrings of the alert rooms are true."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import agent.alerts

MODULES = [found.name for found in pkgutil.walk_packages(agent.alerts.__path__, "agent.alerts.")]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0
