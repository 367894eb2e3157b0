"""Writes docs/configuration.md from the declared settings and docs/commands.md from the command line's parsers.

python scripts/reference_page.py [--check]
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
BEGIN, END = "<!-- written by scripts/reference_page.py -->\n", "<!-- end of what is written -->\n"
sys.path.insert(0, str(ROOT))

from agent.__main__ import parser_of  # noqa: E402  (the package stands beside this folder)
from agent.app.kinds import KINDS  # noqa: E402  (as above)
from agent.cli import COMMANDS  # noqa: E402  (as above)
from agent.cli.exit_codes import MEANINGS  # noqa: E402  (as above)
from agent.config.alert_settings import NotifierSettings, RuleSettings  # noqa: E402  (as above)
from agent.config.fields import key_of  # noqa: E402  (as above)
from agent.config.render import default_text  # noqa: E402  (as above)
from agent.config.schema import CameraSettings, Settings  # noqa: E402  (as above)
from agent.core.units import duration_text, size_text  # noqa: E402  (as above)

TABLES: Mapping[str, type] = {"cameras": CameraSettings, "rules": RuleSettings, "notifiers": NotifierSettings}


def cell(text: str) -> str:
    """Text within a Markdown table."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


# -- the configuration ---------------------------------------------------------------------------------------


def configuration() -> Iterator[str]:
    """The page's generated part: a table for each table of the file."""
    hints = typing.get_type_hints(Settings)
    plain = [field for field in dataclasses.fields(Settings) if field.name not in TABLES]
    sections = {
        field.name: hints[field.name] for field in plain if dataclasses.is_dataclass(hints[field.name])
    }
    yield "## Top level\n\n"
    yield from _settings([field for field in plain if field.name not in sections])
    for name, cls in sections.items():
        yield f"## [{name}]\n\n"
        yield from _settings(dataclasses.fields(cls))
    for name, cls in TABLES.items():
        yield f"## [[{name}]]\n\n"
        yield from _settings([field for field in dataclasses.fields(cls) if field.name != "options"])
        for kind in KINDS.get(name, ()):
            yield f'### {name}: kind = "{kind}"\n\n'
            yield from _settings(dataclasses.fields(KINDS[name].load(kind).Options))


def _settings(fields: Any) -> Iterator[str]:
    rows = [field for field in fields if "doc" in field.metadata]
    if not rows:
        yield "No keys of its own.\n\n"
        return
    yield "| key | default | what |\n|---|---|---|\n"
    for field in rows:
        missing = field.default is dataclasses.MISSING
        default = (
            f"required, such as `{cell(default_text(field))}`"
            if missing
            else f"`{cell(default_text(field))}`"
        )
        text = f"{field.metadata['doc']} {_limits(field)}"
        yield f"| `{key_of(field)}` | {default} | {cell(text)} |\n"
    yield "\n"


def _limits(field: dataclasses.Field[Any]) -> str:
    data = field.metadata
    choices = [f"`{choice}`" for choice in data["choices"] if choice]
    parts = [f"One of: {', '.join(choices)}."] if choices else []
    for bound, word in ((data["minimum"], "At least"), (data["maximum"], "At most")):
        if bound is not None:
            text = {"duration": duration_text, "size": size_text}.get(
                data["kind"], lambda value: f"{value:,}"
            )(bound)
            parts.append(f"{word} {text}.")
    return " ".join(parts)


# -- the commands --------------------------------------------------------------------------------------------


def commands() -> Iterator[str]:
    """The page's generated part: every command with its arguments, then the exit codes."""
    yield "## Exit codes\n\n| code | meaning |\n|---|---|\n"
    yield from (f"| {code.value} | {cell(meaning)} |\n" for code, meaning in MEANINGS.items())
    yield "\n"
    for name in COMMANDS:
        parser = _subparsers(parser_of([name])).choices[name]
        yield from _command(f"vedette {name}", COMMANDS[name][1], parser, 2)


def _command(words: str, text: str, parser: argparse.ArgumentParser, level: int) -> Iterator[str]:
    yield f"{'#' * level} {words}\n\n{cell(text[:1].upper() + text[1:]).rstrip('.')}.\n\n"
    rows = [action for action in parser._actions if _is_row(action)]
    if rows:
        yield "| argument | what |\n|---|---|\n"
        yield from (f"| `{_named(action)}` | {cell(_help(parser, action))} |\n" for action in rows)
        yield "\n"
    if parser.epilog:
        yield f"```help\n{parser.epilog.strip()}\n```\n\n"
    actions = _subparsers(parser)
    if actions:
        helps = {choice.dest: choice.help for choice in actions._choices_actions}
        for name, child in actions.choices.items():
            yield from _command(f"{words} {name}", helps.get(name) or "", child, level + 1)


def _subparsers(parser: argparse.ArgumentParser) -> Any:
    return next((one for one in parser._actions if isinstance(one, argparse._SubParsersAction)), None)


def _is_row(action: argparse.Action) -> bool:
    hidden = action.help == argparse.SUPPRESS or isinstance(action, argparse._SubParsersAction)
    return not hidden and "--help" not in action.option_strings


def _named(action: argparse.Action) -> str:
    """The argument as it is written, `--out FILE` or `FILE`; brackets where it may be left out."""
    value = action.metavar or (
        f"{{{','.join(map(str, action.choices))}}}" if action.choices else action.dest.upper()
    )
    value = " ".join(value) if isinstance(value, tuple) else str(value)
    several = action.nargs in ("*", "+")
    if not action.option_strings:
        return f"{value}{' ...' if several else ''}" if action.nargs not in ("?", "*") else f"[{value}]"
    flags = ", ".join(action.option_strings)
    return flags if action.nargs == 0 else f"{flags} {value}{' ...' if several else ''}"


def _help(parser: argparse.ArgumentParser, action: argparse.Action) -> str:
    return parser._get_formatter()._expand_help(action) if action.help else ""


# -- the files -----------------------------------------------------------------------------------------------


def page(text: str, parts: Iterator[str]) -> str:
    """The page `text` with what is written of today's code."""
    head, _, rest = text.partition(BEGIN)
    return f"{head}{BEGIN}\n{''.join(parts)}{END}{rest.partition(END)[2]}"


PAGES = {"configuration.md": configuration, "commands.md": commands}


def main() -> int:
    """Write the pages, or only say whether they are up to date."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where a page is stale")
    parser.add_argument(
        "pages", nargs="*", metavar="PAGE", help=f"which of {', '.join(PAGES)} (default: all)"
    )
    args = parser.parse_args()
    stale = 0
    for name in args.pages or PAGES:
        text = (DOCS / name).read_text(encoding="utf-8")
        made = page(text, PAGES[name]())
        if made != text and args.check:
            print(f"docs/{name} is stale: python scripts/reference_page.py")
            stale = 1
        elif made != text:
            (DOCS / name).write_text(made, encoding="utf-8")
    return stale


if __name__ == "__main__":
    sys.exit(main())
