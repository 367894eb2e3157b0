"""Compares engines in a separate process, so that their memory is freed and a crash ends only that process.

Standard input brings one line of JSON: settings, cache folder, model, sha256, budget.
The choice goes into the cache folder.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from agent.config.schema import ModelSettings
from agent.core import memory as heap
from agent.core.child_environment import child_environment, own_python
from agent.core.errors import VedetteError
from agent.core.printable import printable
from agent.core.untrusted import parse_object
from agent.detection import choice

LONGEST_SECONDS = 120.0
"""Opening three engines and measuring takes 5 s on a box that has nothing else to do."""

_FAILED = 2


def choose_beside(settings: ModelSettings, cache: Path, model: Path, sha256: str) -> str:
    """Have the choice made and kept in `cache`; why there is none, "" where all went well."""
    request = {
        "settings": asdict(settings),
        "cache": str(cache),
        "model": str(model),
        "sha256": sha256,
        "budget": choice.BUDGET_SECONDS,
    }
    try:
        done = subprocess.run(
            own_python("agent.detection.choice_process"),
            input=json.dumps(request),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            timeout=LONGEST_SECONDS,
            env=child_environment(),
            start_new_session=True,  # Ctrl-C on a terminal is meant for the agent
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"comparing engines took over {LONGEST_SECONDS:.0f} s"
    except OSError as error:
        return f"engines could not be compared: {error.strerror}"
    if done.returncode == 0:
        return ""
    words = printable(done.stderr.strip().rpartition("\n")[2], 300) if done.returncode == _FAILED else ""
    how = f"by signal {-done.returncode}" if done.returncode < 0 else f"with code {done.returncode}"
    return f"engines could not be compared: {words or f'the process ended {how}'}"


def main() -> int:
    """Compare; 0 where all went well."""
    import structlog

    from agent.detection.session import Detector

    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    body = parse_object(sys.stdin.readline())
    settings = settings_of(body["settings"])
    model, sha256 = Path(body["model"]), body["sha256"]
    choice.BUDGET_SECONDS = body["budget"]
    try:
        with heap.bounded():
            choice.compare(
                settings, Path(body["cache"]), sha256, lambda one: Detector(one).opened_with(model, sha256)
            )
    except (VedetteError, MemoryError) as error:
        sys.stderr.write(f"{error or type(error).__name__}\n")
        return _FAILED
    return 0


def settings_of(body: Mapping[str, Any]) -> ModelSettings:
    """The settings of a model that came as JSON from another process of ours."""
    values: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in body.items()
    }
    return ModelSettings(**values)


if __name__ == "__main__":
    sys.exit(main())
