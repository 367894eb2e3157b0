"""Settings as TOML text: the effective configuration with secrets masked, and the commented example file."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import textwrap
import typing
from collections.abc import Iterator, Mapping
from typing import Any

from agent.config.alert_settings import NotifierSettings, RuleSettings
from agent.config.fields import TYPES, key_of
from agent.config.schema import CameraSettings, Settings
from agent.core.errors import MissingExtra
from agent.core.masking import mask
from agent.core.registry import Registry
from agent.core.secret import Secret
from agent.core.units import duration_text, size_text


def toml_value(value: object) -> str:
    """One value as TOML."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return repr(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    if isinstance(value, (tuple, list)):
        return f"[{', '.join(toml_value(item) for item in value)}]"
    return json.dumps(value, ensure_ascii=False)


def field_text(field: dataclasses.Field[Any], value: Any) -> str:
    """The value of one setting as TOML, in the unit people write."""
    kind = field.metadata.get("kind")
    if kind == "duration":
        return json.dumps(duration_text(value))
    if kind == "size":
        return json.dumps(size_text(value))
    return toml_value(value)


def show(settings: Settings) -> str:
    """The effective configuration as TOML, secrets masked."""
    return "\n".join(_tables(settings, "")).strip() + "\n"


def fingerprint(settings: Settings) -> str:
    """A hash of the effective configuration without its secrets, 64 hexadecimal digits: equal configs have the same."""
    return hashlib.sha256(show(settings).encode()).hexdigest()


def _tables(value: Any, prefix: str) -> Iterator[str]:
    later: list[tuple[str, Any]] = []
    for field in dataclasses.fields(value):
        item = getattr(value, field.name)
        if dataclasses.is_dataclass(item) and field.name != "options":
            later.append((field.name, item))
        elif _is_table_array(item):
            later.extend((f"[{field.name}]", entry) for entry in item)
        elif field.name == "options" and item is not None:
            yield from _tables(item, prefix)
        elif field.name != "options":
            yield f"{key_of(field)} = {_masked(field, item)}"
    for name, item in later:
        yield ""
        yield f"[{name}]" if not prefix else f"[{prefix}.{name}]"
        yield from _tables(item, name.strip("[]"))


def _is_table_array(item: object) -> bool:
    return isinstance(item, tuple) and bool(item) and dataclasses.is_dataclass(item[0])


def _masked(field: dataclasses.Field[Any], value: Any) -> str:
    kind = field.metadata.get("kind")
    shown = tuple(map(_shown, value)) if isinstance(value, tuple) else _shown(value)
    return toml_value(shown) if kind in TYPES else field_text(field, shown)


def _shown(value: Any) -> Any:
    """`value` with secrets masked, also in addresses within texts, such as that of the runbooks."""
    if isinstance(value, Secret):
        return str(value) if value else ""
    return mask(value) if isinstance(value, str) else value


_OPENING = """\
# Vedette: configuration.
#
# Every line that starts with "# key = value" shows a setting with its default: remove the "# " and change the
# value to set it. Durations are written "250ms", "30s", "5m", "1h"; sizes "64MiB". Relative paths start from
# this file's directory. `vedette check FILE` lists the mistakes of a file; `vedette reload` applies it.
"""


def example(kinds: Mapping[str, Registry]) -> str:
    """The text of `config.example.toml`, made from the declarations of the settings."""
    lines = [_OPENING]
    hints = typing.get_type_hints(Settings)
    for field in dataclasses.fields(Settings):
        hint = hints[field.name]
        if dataclasses.is_dataclass(hint):
            lines += ["", f"[{field.name}]"]
            lines += _example_fields(typing.cast(type, hint))
        elif typing.get_origin(hint) is not tuple or not dataclasses.is_dataclass(typing.get_args(hint)[0]):
            lines += _example_field(field)
    lines += ["", *_example_kinds("cameras", CameraSettings, kinds["cameras"], _CAMERAS_DOC)]
    lines += ["", *_example_table("rules", RuleSettings, _RULES_DOC)]
    lines += ["", *_example_kinds("notifiers", NotifierSettings, kinds["notifiers"], _NOTIFIERS_DOC)]
    return "\n".join(lines).rstrip() + "\n"


_CAMERAS_DOC = "One [[cameras]] table for each camera. These keys go with every kind:"
_NOTIFIERS_DOC = (
    "How people are notified besides MQTT; one [[notifiers]] table each. These keys go with every kind:"
)
_RULES_DOC = (
    "Alert rules beside the built-in ones (`vedette rules list`); one [[rules]] table each. "
    "A rule with the name of a built-in one replaces it."
)


def _example_fields(cls: type) -> list[str]:
    return [line for field in dataclasses.fields(cls) for line in _example_field(field)]


def _example_field(field: dataclasses.Field[Any]) -> list[str]:
    if field.name == "options":
        return []
    doc = field.metadata["doc"]
    choices = field.metadata.get("choices") or ()
    if choices:
        doc += f" One of: {', '.join(choices)}."
    lines = textwrap.wrap(doc, 105, initial_indent="## ", subsequent_indent="## ")
    return [*lines, f"# {key_of(field)} = {default_text(field)}"]


def default_text(field: dataclasses.Field[Any]) -> str:
    """The default of one setting as TOML; its example where the file must give it."""
    if field.default is dataclasses.MISSING:
        return field.metadata.get("example") or '""'
    return field_text(field, _revealed(field.default))


def _revealed(default: Any) -> Any:
    return default.reveal() if isinstance(default, Secret) else default


def _example_table(name: str, cls: type, doc: str) -> list[str]:
    lines = textwrap.wrap(doc, 105, initial_indent="## ", subsequent_indent="## ")
    return [*lines, f"#[[{name}]]", *_example_fields(cls)]


def _example_kinds(table: str, cls: type, kinds: Registry, doc: str) -> list[str]:
    lines = _example_table(table, cls, doc)
    for kind in kinds:
        try:
            options = kinds.load(kind).Options
        except MissingExtra as error:  # the rest of the example is worth having all the same
            lines += ["", f"## {error}"]
            continue
        lines += ["", f'## With kind = "{kind}" these too:', *_example_fields(options)]
    return lines
