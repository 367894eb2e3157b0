"""What reaches a terminal: text of any origin is shown, never obeyed, whichever command prints it and however."""

import ast
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from agent.__main__ import main
from agent.core import terminal

ROOT = Path(__file__).resolve().parents[2]
CLIPBOARD = "\x1b]52;c;cm0gLXJmIH4=\x07"
HOSTILE = [
    CLIPBOARD,
    "\x1b]0;title\x07",
    "\x1b]8;;http://evil\x1b\\click\x1b]8;;\x1b\\",
    "\x9b2J",
    "a\rb",
    "a\x08b",
    "\u202egnp.exe",
    "\ud800",
    "\U000e0041",
    "\x7f",
]


def controls(text):
    return [
        sign
        for sign in text
        if (ord(sign) < 32 and sign not in "\n\t") or sign in "\x7f\x9b\u202e\ud800\U000e0041"
    ]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_command_that_prints_it_prints_it_escaped(text):
    raw = io.StringIO()
    stream = terminal.SafeStream(raw)
    print("name:", text, file=stream)
    stream.writelines([text])
    assert controls(raw.getvalue()) == []
    assert raw.getvalue().startswith("name: ")


@pytest.mark.parametrize("text", HOSTILE)
def test_json_that_is_printed_stays_the_same_json(text):
    raw = io.StringIO()
    print(json.dumps({"name": text}, ensure_ascii=False), file=terminal.SafeStream(raw))
    assert json.loads(raw.getvalue()) == {"name": text}


@pytest.mark.parametrize(
    "text", [*HOSTILE, "[/x]", "[red]not red[/]", "[link=http://evil]click", ":skull:", "[@click=x]"]
)
@pytest.mark.parametrize("tty", [True, False])
def test_a_table_shows_it_as_it_is(text, tty):
    raw = io.StringIO()
    console = terminal.console(
        file=raw, width=100, force_terminal=tty, color_system="truecolor" if tty else None
    )
    table = Table(title=text)
    table.add_column(text)
    table.add_row(text)
    console.print(table, Panel(Text(text), title=Text(text)), text)
    written = raw.getvalue()
    assert "\x1b]" not in written, "no title, no clipboard, no link"
    if not tty:
        assert controls(written) == []
    if text.isprintable():
        assert text in written, "what looks like markup is shown as it came"


def test_without_a_terminal_no_line_of_a_table_is_broken():
    raw = io.StringIO()
    table = Table(box=None)
    table.add_row("x" * 300, "y" * 64)
    terminal.console(file=raw).print(table)
    assert f"{'x' * 300}  {'y' * 64}" in raw.getvalue()


def test_for_the_whole_of_a_command_the_streams_are_safe(capsys):
    assert main(["check", f"/nowhere/{CLIPBOARD}.toml"]) == 78
    with pytest.raises(SystemExit):
        main(["watch", "--seconds", CLIPBOARD])
    said = capsys.readouterr()
    assert controls(said.err + said.out) == []
    assert "\\u001b]52" in said.err
    assert not isinstance(sys.stdout, terminal.SafeStream), "afterwards they are as they were"


def test_a_stream_of_another_alphabet_is_no_reason_to_fail():
    code = "from agent.core.terminal import safe_streams\nwith safe_streams(): print('21 °C ▁▂')"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        env={"PYTHONIOENCODING": "ascii"},
        timeout=60,
    )
    assert done.stdout == b"21 \\xb0C \\u2581\\u2582\n"


FORBIDDEN = ("Console", "Text.from_markup", "Text.from_ansi", "os.write")


def test_nobody_makes_a_console_of_their_own_or_parses_markup():
    """The one console is `agent.core.terminal`'s: any other would take `[/x]` in a camera's name for markup.

    A panel parses its title whatever the console says, so a title that is put together must be a Text.
    """
    found = []
    for path in sorted((ROOT / "agent").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            name = ast.unparse(node.func)
            titles = [word.value for word in node.keywords if word.arg in ("title", "subtitle")]
            made = name in ("Panel", "Rule") and any(isinstance(title, ast.JoinedStr) for title in titles)
            if made or (name in FORBIDDEN and "stdout" in ast.unparse(node)) or name in FORBIDDEN[:-1]:
                found.append(f"{path.relative_to(ROOT)}:{node.lineno} {name}")
    assert found == []


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_command_runs_with_standard_streams_closed(closed, tmp_path):
    """Whatever is opened later must not get the number of a standard stream."""
    code = (
        "import os, sys; from agent.__main__ import main; code = main(['config', 'example']);"
        f"file = open({str(tmp_path / 'result')!r}, 'w'); file.write(f'{{code}} {{file.fileno() > 2}}')"
    )
    subprocess.run(
        ["sh", "-c", f'exec "$0" -c "$1" {closed}', sys.executable, code],
        timeout=60,
        check=False,
        capture_output=True,
    )
    assert (tmp_path / "result").read_text() == "0 True"


BUFFERED = {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"}


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("config example | head -c 1 >&3; echo ${PIPESTATUS[0]}", "0", "#"),
        ("--help | true; echo ${PIPESTATUS[0]}", "0", ""),
        ("rules list 2>&1 | true; echo ${PIPESTATUS[0]}", "0", ""),
        ("alerts --state /nowhere 2>&1 | true; echo ${PIPESTATUS[0]}", "1", ""),
        ("--version >/dev/full; echo $?", "1", "vedette: No space left on device\n"),
        ("schema >/dev/full; echo $?", "1", "vedette: No space left on device\n"),
        ("schema >/dev/full 2>&1; echo $?", "1", ""),
    ],
)
def test_an_output_that_is_closed_or_full_gives_no_traceback(line, code, said):
    """`true` never reads. A full disk fails the command, a reader that has seen enough does not."""
    done = subprocess.run(
        ["bash", "-c", f'exec 3>&2; "$0" -m agent {line}', sys.executable],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=BUFFERED,
        timeout=60,
    )
    assert (done.stdout.strip(), done.stderr) == (code, said)
