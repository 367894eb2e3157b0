"""The examples in the docstrings of the alert rooms are true."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import agent.alerts

MODULES = [f"agent.alerts.{found.name}" for found in pkgutil.iter_modules(agent.alerts.__path__)]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0
