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
    ExitCode.DONE: "success; `vedette run`: stopped on request, or every source has ended",
    ExitCode.FAILED: "failure, or a check found a fault: one line on standard error names it",
    ExitCode.USAGE: "wrong usage of the command line",
    ExitCode.EXHAUSTED: "`vedette run`: a worker failed repeatedly; the service manager restarts the agent",
    ExitCode.CONFIG: "the configuration is wrong: the error names file, line and key; a restart does not help",
    ExitCode.INTERRUPTED: "interrupted by Ctrl-C",
}
