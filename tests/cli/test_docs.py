"""Every `vedette ...` that the docs, the README, the help texts and the messages name is one that there is."""

import argparse
import importlib
import re
import shlex
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest

from agent.__main__ import parser_of
from agent.cli import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
SOURCES = sorted((ROOT / "agent").rglob("*.py"))
SHELL = {"", "sh", "bash", "console", "text"}
LEAST_COMMANDS = 100  # or this test no longer finds them

_FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`(vedette [^`\n]+)`")
_LINE = re.compile(r"^\s*(?:\$ )?(?:.*?&& )?(?:sudo )?(?:[A-Z_]+=\S+ )*(?:/\S+/)?(vedette [a-z-].*)$")
_SHELL_ENDS = re.compile(r"\||[0-9]?>|&|;")
_INCOMPLETE = re.compile(
    r"(is|are) required|: expected one argument$"
)  # a command or flag that is only named


class WrongUsage(Exception):
    """What argparse has against a command line."""


def of_page(text):
    """(command line, whether it must be whole) of a Markdown page."""
    for language, block in _FENCE.findall(text):
        if language in SHELL:
            yield from ((line, True) for line in of_lines(block))
    yield from ((found, False) for found in _SPAN.findall(_FENCE.sub("", text)))


def of_lines(block):
    for line in block.replace("\\\n", " ").splitlines():
        if found := _LINE.match(line):
            yield found[1]


def words_of(line):
    words = []
    for word in shlex.split(re.sub(r"\{[^}]*\}", "X", line), comments=True)[1:]:
        if _SHELL_ENDS.match(word):
            break
        if word not in {"...", "…"}:
            words.append(word.strip("[](),"))
    return [word for word in words if word]


def parse(words):
    """Parse as the command would; WrongUsage for what it would refuse."""
    return parser_of(words).parse_args(words)


@pytest.fixture(autouse=True)
def no_exit(monkeypatch):
    def refuse(_parser, message):
        raise WrongUsage(message)

    monkeypatch.setattr(argparse.ArgumentParser, "error", refuse)


def fault_of(line, whole):
    """What is wrong with a command line; "" where nothing is, or where only something is missing that need not be."""
    try:
        parse(words_of(line))
    except WrongUsage as error:
        return "" if not whole and _INCOMPLETE.search(str(error)) else f"{line}: {error}"
    except ValueError as error:  # a quotation mark is left open
        return f"{line}: {error}"
    except SystemExit:  # --help and --version
        pass
    return ""


def check(lines):
    return [fault for line, whole in lines if "COMMAND" not in line and (fault := fault_of(line, whole))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_names_no_command_that_there_is_not(page):
    assert check(of_page(page.read_text(encoding="utf-8"))) == []


def test_the_readme_lists_every_page():
    listed = set(
        re.findall(r"`((?:docs/)?[\w/-]+(?:\.md|/))`", (ROOT / "README.md").read_text(encoding="utf-8"))
    )
    pages = {str(page.relative_to(ROOT)) for page in PAGES if page.parent == ROOT / "docs"}
    folders = {f"{page.parent.relative_to(ROOT)}/" for page in PAGES if page.parent.parent == ROOT / "docs"}
    assert pages | folders <= listed
    assert [name for name in listed if name.startswith("docs/") and not (ROOT / name).exists()] == []


def test_the_reference_of_commands_is_that_of_today():
    page = [sys.executable, "scripts/reference_page.py", "--check", "commands.md"]
    done = subprocess.run(page, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"run: python scripts/reference_page.py\n{done.stdout}{done.stderr}"
    lines = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line.startswith("| `") and line.endswith("|  |")] == [], (
        "an argument has no help"
    )


def test_a_menu_of_the_site_leads_to_every_page():
    """(tests/scripts/test_site.py builds the site; this is to know it sooner.)"""
    nav = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")[2]
    menu = re.findall(r"[\w*/-]+\.md", nav)
    for page in (page.relative_to(ROOT / "docs") for page in PAGES if page != ROOT / "README.md"):
        assert any(fnmatch(str(page), entry) for entry in menu), f"{page} stands nowhere in mkdocs.yml"


@pytest.mark.parametrize("name", COMMANDS)
def test_the_examples_of_a_help_text_are_right(name):
    parser = argparse.ArgumentParser()
    importlib.import_module(COMMANDS[name][0]).add_arguments(parser)
    lines = [re.split(r" {3,}", line)[0] for line in of_lines(parser.epilog or "")]
    assert check((line, True) for line in lines) == []


def test_messages_and_comments_name_no_command_that_there_is_not():
    texts = [path.read_text(encoding="utf-8") for path in SOURCES]
    assert check((found, False) for text in texts for found in _SPAN.findall(text)) == []


def test_the_service_starts_a_command_that_there_is():
    unit = (ROOT / "systemd" / "vedette.service").read_text()
    lines = re.findall(r"bin/(vedette [^\n']+)", unit)
    assert len(lines) == 2
    assert check((line, True) for line in lines) == []


_LOGIN = re.compile(r"://[^\s/'\"`]*@|--?(?:pw|password|passwd)(?:[ =]|$)|<<<| -P \S")
"""A password among the words of a command line, where every user of the box and the shell's history have it."""


def passwords_in(text):
    """The shell lines of a page that hold one."""
    blocks = [block for language, block in _FENCE.findall(text) if language in SHELL]
    return [line for block in blocks for line in block.splitlines() if _LOGIN.search(line)]


@pytest.mark.parametrize("page", [*PAGES, ROOT / "SECURITY.md"], ids=lambda page: str(page.relative_to(ROOT)))
def test_no_page_teaches_a_password_on_a_command_line(page):
    text = page.read_text(encoding="utf-8")
    assert passwords_in(text) == []
    assert not [span for span in _SPAN.findall(text) if _LOGIN.search(span)]


def test_no_help_text_teaches_one_either(capsys):
    for name in COMMANDS:
        with pytest.raises(SystemExit):
            parse([name, "--help"])
    shown = capsys.readouterr().out
    assert "--password-file" in shown
    assert not _LOGIN.search(shown)


@pytest.mark.parametrize(
    "line",
    [
        "vedette watch --broker mqtt://reader:secret@broker",
        "vedette run --source rtsp://admin@cam/x",
        "mosquitto_sub -u reader -P secret -t x",
        "vedette watch --password secret",
        "sudo tee /etc/vedette/x <<<'secret'",
    ],
)
def test_such_a_line_is_noticed(line):
    assert passwords_in(f"```sh\n{line}\n```\n") == [line]


def test_the_commands_are_found():
    found = [line for page in PAGES for line in of_page(page.read_text(encoding="utf-8"))]
    assert len(found) > LEAST_COMMANDS
    assert {words_of(line)[0] for line, _ in found} >= COMMANDS.keys() - {"demo"}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("vedette rules try x.toml", "invalid choice: 'try'"),
        ("vedette statsu", "did you mean 'status'?"),
        ("vedette alerts hisotry", "did you mean 'history'?"),
        ("vedette status --jsn", "unrecognized arguments: --jsn"),
        ("vedette alerts limit latency_p99 high", "invalid float value: 'high'"),
        ("vedette snapshot 'left open", "No closing quotation"),
    ],
)
def test_a_wrong_one_is_noticed(line, expected):
    (wrong,) = check([(line, True)])
    assert expected in wrong
