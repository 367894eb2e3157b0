"""Opens a new model in a process of its own first: one that takes all memory, or crashes its engine, ends that process.

What a graph makes inside of itself is known once it runs. The agent opens it afterwards, beside the running model. A
model for a GPU is opened on the CPU here: the GPU's memory is for the cameras. What else is wrong with a model is
the agent's to find.

Standard input brings one line of JSON: the model's settings, and `most`, the bytes that it may take.
"""

from __future__ import annotations

import json
from dataclasses import asdict, replace

from agent.cameras.isolation.child import ended_by
from agent.config.schema import ModelSettings
from agent.core import memory as heap
from agent.core.child_environment import own_python
from agent.core.errors import InferenceFailure, ModelError, VedetteError
from agent.core.printable import printable
from agent.core.untrusted import BadInput, parse_object, take_integer, take_object, take_text
from agent.detection import failures
from agent.detection.choice_process import settings_of
from agent.detection.providers import Machine, identify
from agent.detection.session import Detector
from agent.maintenance.child import Pause, ask, serve

LONGEST_SECONDS = 600.0
"""It takes seconds; on a busy box it has little of the CPU."""

NICE = 10


def open_apart(settings: ModelSettings, pause: Pause) -> None:
    """Have the model opened by another process; ModelError where that lacks memory, crashes or does not end."""
    chosen = settings if identify() is Machine.PLAIN else replace(settings, provider="cpu")
    request = {"settings": asdict(chosen), "most": heap.free_bytes() * 4 // 5}
    command = own_python("agent.maintenance.deploy.apart")
    try:
        code, answer = ask(command, json.dumps(request).encode() + b"\n", pause, LONGEST_SECONDS)
    except TimeoutError:
        raise ModelError(f"opening it takes longer than {LONGEST_SECONDS:.0f} s") from None
    if code < 0:
        raise ModelError(
            f"a process that opened it on trial {ended_by(-code)}: it takes too much memory, or is damaged"
        )
    try:
        reason = take_text(parse_object(answer), "reason")
    except BadInput as error:
        raise ModelError(f"a process that opened it on trial gave no answer: {error}") from None
    if reason:
        raise ModelError(f"it takes more memory than there is: {reason}")


def _answer(line: bytes) -> dict[str, str]:
    """`reason`: which memory is not there to open the model, "" where that is not what is wrong."""
    request = parse_object(line)
    try:
        with heap.bounded(take_integer(request, "most")):
            Detector(settings_of(take_object(request, "settings"))).open()
    except (VedetteError, MemoryError, OSError) as error:
        lacks = failures.classify(error) is InferenceFailure.OUT_OF_MEMORY
        return {"reason": (printable(error, 300) or type(error).__name__) if lacks else ""}
    return {"reason": ""}


if __name__ == "__main__":
    serve(_answer, NICE)
