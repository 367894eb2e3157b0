"""The exit codes of `vedette`, and what each of them means; `docs/commands.md` lists them."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What a command ends with. 70 and 78 are those of sysexits.h; the unit file does not restart on 78."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    EXHAUSTED = 70
    CONFIG = 78
    INTERRUPTED = 130


MEANINGS: dict[ExitCode, str] = {
    ExitCode.DONE: "done; `vedette run`: stopped on request, or every source is at its end",
    ExitCode.FAILED: "failed, or a check found a fault: one line on standard error names it",
    ExitCode.USAGE: "wrong usage of the command line",
    ExitCode.EXHAUSTED: "`vedette run`: a worker failed again and again; the service manager starts the agent afresh",
    ExitCode.CONFIG: "the configuration is wrong: file, line and key are named; starting again would not help",
    ExitCode.INTERRUPTED: "interrupted by Ctrl-C",
}
