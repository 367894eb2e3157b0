"""The command `vedette`: finds the command's module, runs it, turns errors into one line and an exit code."""

from __future__ import annotations

import argparse
import importlib
import os
import re
import sys
from collections.abc import Sequence
from types import TracebackType
from typing import NoReturn

from agent import __version__
from agent.cli import COMMANDS
from agent.core.errors import ConfigError, VedetteError
from agent.core.printable import printable, printable_lines
from agent.core.terminal import open_standard_streams, safe_streams

_NO_CHOICE = re.compile(r"invalid choice: '(.*?)' \(choose from (.*)\)$", re.DOTALL)
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_CONFIG = 78  # sysexits.h EX_CONFIG; the unit file does not restart on it

_EPILOG = """\
start here:
  vedette demo                                     the agent on drawn cameras; nothing to set up
  vedette run --source VIDEO --model MODEL.onnx    watch one video or camera
  vedette snapshot --source VIDEO --model MODEL.onnx   one frame with its boxes, as a file
  vedette config example > vedette.toml            a commented config to edit
  vedette check vedette.toml                       is everything in it reachable?
  vedette run --config vedette.toml                the agent, as the service runs it

`vedette COMMAND --help` explains a command. Exit codes: 0 done, 1 failed, 2 wrong usage, 78 wrong configuration.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line `argv` (default: the process's own); the exit code."""
    # OpenCV reads these when it is loaded: a picture file of impossible size must not take the memory of the box,
    # nor a damaged one write past the log.
    os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(2**26))
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    sys.excepthook = _crashed
    open_standard_streams()
    with safe_streams():
        return _run(list(sys.argv[1:] if argv is None else argv))


def _crashed(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """The traceback of what nobody expected, as Python prints it, but for what is secret or not printable."""
    import traceback

    from agent.core.masking import mask

    text = "".join(traceback.format_exception(kind, error, trace))
    sys.stderr.write(printable_lines(mask(text), 100_000))


def _run(words: list[str]) -> int:
    parser = _parser(words)
    args = parser.parse_args(words)
    if not args.command:
        parser.print_help()
        return EXIT_USAGE
    try:
        code = int(importlib.import_module(COMMANDS[args.command][0]).run(args))
        sys.stdout.flush()  # a full disk or a closed pipe shows here, not at the interpreter's end
        return code
    except ConfigError as error:
        sys.stderr.write(f"vedette: {error}\n")
        return EXIT_CONFIG
    except VedetteError as error:
        sys.stderr.write(f"vedette: {error}\n")
        return EXIT_FAILED
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # `vedette ... | head`: the reader has seen enough
        _drop_output()
        return 0
    except OSError as error:
        _drop_output()
        where = f"{error.filename}: " if error.filename else ""
        sys.stderr.write(f"vedette: {printable(where + (error.strerror or str(error)))}\n")
        return EXIT_FAILED


def _drop_output() -> None:
    """What is still buffered goes nowhere: the interpreter would try once more at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


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


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
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
    sys.exit(main())
