"""Builds the reference of several days in a process of its own: for a week 230 MB, and ten seconds that no frame waits.

Standard input brings one line of JSON: state directory, camera, number of days. Standard output is the reference.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from agent.core import clock
from agent.core import memory as heap
from agent.core.child_environment import child_environment, own_python
from agent.core.errors import ReferenceMismatch
from agent.core.printable import printable
from agent.core.untrusted import BadInput, parse_object, take_integer, take_text
from agent.references.recorder import ReferenceRecorder
from agent.references.store import DAYS, LARGEST, ReferenceStore
from agent.references.stored import StoredReference

LONGEST_SECONDS = 240.0
"""A week takes ten seconds on a slow core, and there may be little of it left."""

_FAILED = 2
_NICE = 10


def build_beside(store: ReferenceStore, camera: str, days: int) -> StoredReference:
    """The reference of the first `days` that are kept of a camera; ReferenceMismatch where there is none."""
    request = {"state": str(store.path.parent), "camera": camera, "days": days}
    try:
        done = subprocess.run(
            own_python("agent.references.growth_process"),
            input=json.dumps(request).encode(),
            capture_output=True,
            timeout=LONGEST_SECONDS,
            env=child_environment(),
            start_new_session=True,  # Ctrl-C on a terminal is meant for the agent
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ReferenceMismatch(f"it took over {LONGEST_SECONDS:.0f} s") from None
    except OSError as error:
        raise ReferenceMismatch(f"no process can be started: {error.strerror}") from None
    if done.returncode == 0:
        return StoredReference.from_text(done.stdout[: LARGEST + 1])
    last = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
    how = f"by signal {-done.returncode}" if done.returncode < 0 else f"with code {done.returncode}"
    words = printable(last, 300) if done.returncode == _FAILED else ""
    raise ReferenceMismatch(words or f"the process ended {how}")


def joined(store: ReferenceStore, camera: str, days: int) -> ReferenceRecorder:
    """One recorder of all days; what is known of single frames is the last one's, which goes on from day to day."""
    whole: ReferenceRecorder | None = None
    for name in DAYS[:days]:
        text = store.read(camera, name)
        if text is None:
            raise ReferenceMismatch(f"{store.folder(camera) / name}.gz is missing")
        day = ReferenceRecorder.from_text(text)
        if whole is None:
            whole = day
            continue
        whole.recording.join(day.recording)
        whole.extremes, whole.embedding = day.extremes, day.embedding
    if whole is None:
        raise ReferenceMismatch("no day is recorded")
    return whole


def main() -> int:
    """Build; 0 where all went well."""
    os.nice(_NICE)
    try:
        body = parse_object(sys.stdin.readline())
        store = ReferenceStore(Path(take_text(body, "state")))
        with heap.bounded():
            whole = joined(store, take_text(body, "camera"), take_integer(body, "days", minimum=1))
            end = whole.recording.starts[-1] + whole.recording.seconds[-1]
            sys.stdout.write(whole.make(end, final=True, utc_offset=clock.utc_offset(end)).to_text())
    except (BadInput, MemoryError, ReferenceMismatch) as error:
        sys.stderr.write(f"{error or type(error).__name__}\n")
        return _FAILED
    return 0


if __name__ == "__main__":
    sys.exit(main())
