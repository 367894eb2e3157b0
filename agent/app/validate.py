"""Validates settings without opening anything: rules compile, notifiers can be made, and the cameras and rules that
either name exist.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence

from agent.alerts.rules import Rule, compile_rules
from agent.config.schema import Settings
from agent.core.errors import ConfigError, ConfigErrors
from agent.core.nearest import nearest
from agent.detection import ModelInfo
from agent.features import FEATURES
from agent.maintenance.samples.reasons import REASONS
from agent.notifiers.runner import make_notifiers


def rules_of(settings: Settings) -> tuple[Rule, ...]:
    """The alert rules in force, built-in ones included; raises ConfigError."""
    measured = [f"camera.feature_{name}_mean" for name in FEATURES]
    return compile_rules(
        settings.rules,
        settings.alerts,
        window_seconds=settings.windows.length,
        known_metrics=measured,
        cameras=[camera.name for camera in settings.cameras],
    )


def validate(settings: Settings) -> tuple[Rule, ...]:
    """The rules in force; raises ConfigError or ConfigErrors for all that is wrong with rules and notifiers."""
    errors: list[ConfigError] = []
    rules: tuple[Rule, ...] = ()
    try:
        rules = rules_of(settings)
    except ConfigErrors as several:
        errors += several.errors
    except ConfigError as error:
        errors.append(error)
    for entry in settings.notifiers:
        try:
            make_notifiers([entry])
        except ConfigError as error:  # noqa: PERF203  (all mistakes are reported, not only the first)
            errors.append(error)
    errors += _unknown_names(settings, {rule.name for rule in rules} if rules else None)
    if errors:
        raise errors[0] if len(errors) == 1 else ConfigErrors(errors)
    return rules


def validate_classes(settings: Settings, model: ModelInfo) -> None:
    """Raise ConfigError or ConfigErrors for classes that are set and that the model does not have."""
    given = {f"cameras[{camera.name}].classes": camera.classes for camera in settings.cameras}
    errors = [
        ConfigError(
            f"the model {model.name} has no class {name!r}",
            key=key,
            expected=None if nearest(name, model.classes) else _names(model.classes),
            nearest=nearest(name, model.classes),
        )
        for key, names in {**given, "samples.blur": settings.samples.blur}.items()
        for name in names
        if not model.class_ids((name,))
    ]
    if errors:
        raise errors[0] if len(errors) == 1 else ConfigErrors(errors)


def _names(classes: Sequence[str]) -> str:
    """The classes of a model, as far as they fit into a message."""
    if not classes:
        return "class0, class1, ...: the model has no names for them"
    return f"one of {textwrap.shorten(', '.join(classes), 300, placeholder=' ...')}"


def _unknown_names(settings: Settings, rules: set[str] | None) -> Iterator[ConfigError]:
    """Names of cameras, rules and reasons in filters that do not exist."""
    yield from _unknown("samples.reasons", settings.samples.reasons, set(REASONS))
    cameras = {camera.name for camera in settings.cameras}
    for entry in settings.notifiers:
        where = f"notifiers[{entry.name}]"
        if cameras:
            yield from _unknown(f"{where}.cameras", entry.cameras, cameras)
        if rules is not None:
            yield from _unknown(f"{where}.rules", entry.rules, rules)
    if cameras:
        yield from _unknown("samples.cameras", settings.samples.cameras, cameras)


def _unknown(key: str, names: Iterable[str], known: set[str]) -> Iterator[ConfigError]:
    for name in names:
        if name not in known:
            near = nearest(name, known)
            yield ConfigError(
                f"there is no {key.rpartition('.')[2][:-1]} {name!r}",
                key=key,
                expected=None if near else f"one of {', '.join(sorted(known))}",
                nearest=near,
            )
