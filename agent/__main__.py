"""The command `vedette`: finds the command's module, runs it, turns errors into one line and an exit code."""

from __future__ import annotations

import argparse
import atexit
import importlib
import os
import re
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import NoReturn

from agent import __version__
from agent.cli import COMMANDS
from agent.cli.exit_codes import ExitCode
from agent.core.errors import ConfigError, VedetteError
from agent.core.printable import printable, printable_lines
from agent.core.terminal import (
    discard_refused_output,
    open_standard_streams,
    output_has_no_reader,
    safe_streams,
)

_NO_CHOICE = re.compile(r"invalid choice: '(.*?)' \(choose from (.*)\)$", re.DOTALL)

_EPILOG = """\
start here:
  vedette demo                                     the agent on drawn cameras; nothing to set up
  vedette run --source VIDEO --model MODEL.onnx    watch one video or camera
  vedette snapshot --source VIDEO --model MODEL.onnx   one frame with its boxes, as a file
  vedette config example > vedette.toml            a commented config to edit
  vedette check vedette.toml                       open everything that it names
  vedette run --config vedette.toml                the agent, as the service runs it

`vedette COMMAND --help` explains a command. Exit codes: 0 success, 1 failure, 2 wrong usage, 78 wrong configuration.
"""


def command() -> NoReturn:
    """The command as it is installed: `main`, then the end of the process with its exit code."""
    try:
        code: int = main()
    except Exception:  # noqa: BLE001  (a fault of ours: reported as Python would, then ended as all else)
        sys.excepthook(*sys.exc_info())
        code = ExitCode.FAILED
    leave(code)


def leave(code: int) -> NoReturn:
    """End the process with `code`, also while a thread that did not stop in time is in native code.

    Python's own end unloads ONNX Runtime, FFmpeg or the driver beneath such a thread, and the process dies of SIGABRT
    or SIGSEGV in place of its exit code. Threads that are no daemons are waited for, as Python does.
    """
    others = [thread for thread in threading.enumerate() if thread is not threading.main_thread()]
    for thread in others:
        if not thread.daemon:
            thread.join()
    if not any(thread.is_alive() for thread in others):
        sys.exit(code)
    atexit._run_exitfuncs()  # the last lines of the log are written there
    discard_refused_output()
    os._exit(code)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (default: the process's own); the exit code."""
    # OpenCV reads these when it is loaded: a picture file of impossible size must not take the memory of the box,
    # nor a damaged one write past the log.
    os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(2**26))
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    sys.excepthook = _crashed
    open_standard_streams()
    with safe_streams():
        try:
            return _run(list(sys.argv[1:] if argv is None else argv))
        finally:
            discard_refused_output()


def _crashed(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """The traceback of what nobody expected, as Python prints it, but for what is secret or not printable."""
    import traceback

    from agent.core.masking import mask
    from agent.logging.line_writer import write_within

    text = "".join(traceback.format_exception(kind, error, trace))
    write_within(
        sys.stderr, printable_lines(mask(text), 100_000)
    )  # (a blocked output must not hold the end up)


def _run(words: list[str]) -> int:
    try:
        code = _execute(words)
        sys.stdout.flush()  # a full disk or a closed pipe shows here, not at the interpreter's end
        return code
    except ConfigError as error:
        return _failed(str(error), ExitCode.CONFIG)
    except VedetteError as error:
        return _failed(str(error))
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except OSError as error:
        if isinstance(error, BrokenPipeError) and output_has_no_reader():
            return 0  # `vedette ... | head`: the reader has seen enough
        where = f"{error.filename}: " if error.filename else ""
        return _failed(printable(where + (error.strerror or str(error))))


def _execute(words: list[str]) -> int:
    parser = parser_of(words)
    try:
        args = parser.parse_args(words)
    except SystemExit:  # after --help or --version
        sys.stdout.flush()
        raise
    if not args.command:
        parser.print_help()
        return ExitCode.USAGE
    return int(importlib.import_module(COMMANDS[args.command][0]).run(args))


def _failed(text: str, code: int = ExitCode.FAILED) -> int:
    with suppress(OSError):
        sys.stderr.write(f"vedette: {text}\n")
    return code


class _Parser(argparse.ArgumentParser):
    """argparse's, which names the command that was perhaps meant; those of the subcommands are of this class too."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong with the command line and end."""
        found = _NO_CHOICE.search(message)
        if found:
            from agent.core.nearest import nearest

            near = nearest(found[1], re.findall(r"'([^']+)'", found[2]))
            message += f"; did you mean {near!r}?" if near else ""
        super().error(printable(message))


def parser_of(words: Sequence[str]) -> argparse.ArgumentParser:
    """The parser of the command line `words`; of the commands only the one that they name is imported."""
    parser = _Parser(
        prog="vedette",
        description="Vedette runs a vision model on local cameras, watches over it, and reports over MQTT.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"vedette {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    for name, (module, text) in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text)
        if name in words[:2]:  # only the command that is used is imported
            importlib.import_module(module).add_arguments(command)
    return parser


if __name__ == "__main__":
    command()
