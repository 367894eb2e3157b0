"""What a person adds to a card: NAME.card.toml beside the model, and the template of one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from agent.core.errors import ConfigError
from agent.core.nearest import nearest
from agent.core.untrusted import BadInput, parse_toml, take_object, take_text
from agent.maintenance.card import SECTIONS

LONGEST_ANSWER = 20_000
_LARGEST_FILE = 1 << 20

Answers = Mapping[str, Mapping[str, str]]
"""What was answered: of each section, by the question's key; what is empty is absent."""


def path_of(model: Path) -> Path:
    """The file beside a model."""
    return model.with_suffix(".card.toml")


def read(path: Path) -> Answers:
    """The answers in a file; none where there is no file. ConfigError names file and key of a mistake in it."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot be read: {error}", file=str(path)) from None
    try:
        body = parse_toml(text, largest=_LARGEST_FILE)
    except ValueError as error:
        raise ConfigError(str(error), file=str(path)) from None
    known = {section.name: {question.key for question in section.questions} for section in SECTIONS}
    _check_names(path, "", body, [name for name, keys in known.items() if keys])
    return {name: _answers(path, body, name, known[name]) for name in body}


def _answers(path: Path, body: Mapping[str, object], name: str, known: set[str]) -> Mapping[str, str]:
    try:
        table = take_object(body, name)
        _check_names(path, f"{name}.", table, known)
        given = {key: take_text(table, key, longest=LONGEST_ANSWER).strip() for key in table}
    except BadInput as error:
        raise ConfigError(f"[{name}]: {error}", file=str(path)) from None
    return {key: text for key, text in given.items() if text}


def _check_names(path: Path, prefix: str, table: Mapping[str, object], known: object) -> None:
    names = sorted(known)  # type: ignore[call-overload]  # a set or a list of names
    for name in table:
        if name not in names:
            near = nearest(name, names)
            hint = f"did you mean {near!r}?" if near else f"known are {', '.join(names)}"
            raise ConfigError(f"`{prefix}{name}` is unknown; {hint}", file=str(path))


def template(model: Path) -> str:
    """The text of a file to fill in."""
    lines = [
        f"# What {model.name} is, in words: `vedette model card` puts it into the card. Markdown may be used.\n"
    ]
    for section in SECTIONS:
        if section.questions:
            lines.append(f"[{section.name}]")
            for question in section.questions:
                lines += [f"# {question.text}", f'{question.key} = ""']
            lines.append("")
    return "\n".join(lines).rstrip() + "\n"
