"""Reads the fault handler's report of a crash: which camera's thread the agent crashed in.

Before Python 3.14 threads have no names there, only the functions they are in. So each camera's thread runs a
function that bears the camera's name.
"""

from __future__ import annotations

import re
import types
from collections.abc import Callable
from typing import Any

_THREAD = re.compile(r"^(Current thread|Thread) 0x[0-9a-f]+.*\n((?:  .*\n?)*)", re.MULTILINE)
_CAMERA = re.compile(r" in camera:([A-Za-z0-9_-]+)$", re.MULTILINE)
_FRAME = re.compile(r'  File "(?:.*/)?([^"/]+)", line (\d+) in (\S+)')
_SHOWN = 4  # frames: enough to see the call, short enough for a line of the journal
_STARTED = re.compile(r" in _bootstrap$", re.MULTILINE)
_DECODING = re.compile(r'\A  File ".*decoder\.py", line')


def named(function: Callable[..., Any], camera: str) -> Callable[..., Any]:
    """`function` under the name by which `suspects` finds the camera."""
    code = function.__code__.replace(co_name=f"camera:{camera}")
    return types.FunctionType(code, function.__globals__, closure=function.__closure__)


def suspects(words: str) -> tuple[str, ...]:
    """The cameras that may have caused the crash of which the fault handler wrote `words`.

    The one whose thread crashed; or, where that thread is not Python's (a decoder's own), those that were inside
    the decoder.
    """
    current = _current(words)
    suspected = [current] if current else [f for _, f in _THREAD.findall(words) if _DECODING.match(f)]
    return tuple(name for frames in suspected for name in _CAMERA.findall(frames))


def from_outside(words: str) -> bool:
    """Whether somebody asked for it: SIGABRT, as systemd's watchdog sends it, comes to the main thread.

    A decoder's own abort comes to the thread that decodes; every thread but the main one began in `_bootstrap`.
    """
    current = _current(words)
    return words.partition("\n")[0].endswith("Aborted") and bool(current) and not _STARTED.search(current)


def place(words: str) -> str:
    """Where the thread that crashed was, innermost call first; "" where that is not known."""
    frames = _FRAME.findall(_current(words))[:_SHOWN]
    return " < ".join(f"{file}:{line} {function}" for file, line, function in frames)


def _current(words: str) -> str:
    """The frames of the thread that crashed; "" where it is not Python's."""
    return next((frames for head, frames in _THREAD.findall(words) if head == "Current thread"), "")
