"""The JSON Schemas of what is published, as they ship in the package, and a checker for the dialect they use.

The checker knows `type`, `const`, `enum`, `pattern`, `minLength`, `minimum`, `required`, `properties`,
`patternProperties` and `additionalProperties`; tests hold it against the `jsonschema` library.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from agent.core.untrusted import parse_object
from agent.delivery.messages import FAMILIES

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "null": (type(None),),
    "array": (list,),
}


def schema_text(family: str) -> str:
    """The schema of a topic family as it ships; KeyError for an unknown one."""
    if family not in FAMILIES:
        raise KeyError(family)
    return files("agent.delivery").joinpath("schemas").joinpath(f"{family}.json").read_text(encoding="utf-8")


@cache
def schema(family: str) -> Mapping[str, Any]:
    """The schema of a topic family; KeyError for an unknown one."""
    return parse_object(schema_text(family))


def violations(family: str, body: object) -> list[str]:
    """What is wrong with a payload of `family`, one line each; [] for a valid one."""
    return list(_check(schema(family), body, "payload"))


def _check(rule: Mapping[str, Any], value: object, where: str) -> Iterator[str]:
    if "type" in rule and not _has_type(value, rule["type"]):
        yield f"{where}: {_brief(value)} is not {_words(rule['type'])}"
        return
    if "const" in rule and value != rule["const"]:
        yield f"{where}: {_brief(value)} is not {rule['const']!r}"
    if "enum" in rule and value not in rule["enum"]:
        yield f"{where}: {_brief(value)} is none of {', '.join(map(str, rule['enum']))}"
    if isinstance(value, str):
        if "pattern" in rule and not re.search(rule["pattern"], value):
            yield f"{where}: {_brief(value)} does not match {rule['pattern']}"
        if len(value) < rule.get("minLength", 0):
            yield f"{where}: is empty"
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if "minimum" in rule and number and value < rule["minimum"]:
        yield f"{where}: {value} is under {rule['minimum']}"
    if isinstance(value, dict):
        yield from _check_object(rule, value, where)


def _check_object(rule: Mapping[str, Any], value: Mapping[str, Any], where: str) -> Iterator[str]:
    for name in rule.get("required", ()):
        if name not in value:
            yield f"{where}: {name} is missing"
    for name, entry in value.items():
        rules = [
            found for pattern, found in rule.get("patternProperties", {}).items() if re.search(pattern, name)
        ]
        if name in rule.get("properties", {}):
            rules.append(rule["properties"][name])
        if not rules and rule.get("additionalProperties", True) is False:
            yield f"{where}: {name} is not a known name"
        for found in rules:
            yield from _check(found, entry, name)


def _has_type(value: object, types: str | list[str]) -> bool:
    for name in [types] if isinstance(types, str) else types:
        if isinstance(value, bool):
            if name == "boolean":
                return True
        elif isinstance(value, _TYPES[name]) or (
            name == "integer" and isinstance(value, float) and value.is_integer()
        ):
            return True
    return False


def _words(types: str | list[str]) -> str:
    return types if isinstance(types, str) else " or ".join(types)


def _brief(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
