"""Translates ONNX Runtime's failures to errors that name what to do."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from agent.core.errors import InferenceError, InferenceFailure, ModelError
from agent.core.printable import printable

_NAMES = (
    "DeviceReset", "EPFail", "EngineError", "Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf",
    "ModelLoaded", "NoModel", "NoSuchFile", "NotFound", "NotImplemented", "RuntimeException",
)  # fmt: skip

_OUT_OF_MEMORY = re.compile(
    r"out of memory|bad[ _]?alloc|failed to allocate memory|ALLOC_FAILED|BFCArena",
    re.IGNORECASE,
)
_GPU_LOST = re.compile(
    r"CUDA (?:failure|error)|CUDNN(?:_STATUS| failure)|CUBLAS(?:_STATUS| failure)|illegal memory access"
    r"|launch failure|fallen off the bus|device (?:reset|removed|lost)|no CUDA-capable device",
    re.IGNORECASE,
)
_REMEDIES = (
    ("opset", "needs a newer ONNX Runtime (opset): update it or export with opset=17"),
    ("ir version", "needs a newer ONNX Runtime (IR version): update it or export anew"),
    ("protobuf", "is not an ONNX file, truncated or corrupt: copy it again"),
    ("no graph was found", "is not an ONNX file, truncated or corrupt: copy it again"),
    ("with schema(", "does not keep to the opset that it declares: export it anew with opset=17"),
)
_UNKNOWN = re.compile(
    r"(?:Fatal error: |No Op registered for )([\w.]*:?\w+)\S*(?: is not a registered| with domain_version)"
)


def runtime_errors() -> tuple[type[Exception], ...]:
    """The exceptions that ONNX Runtime raises; they have no common base of their own."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    known = (getattr(state, name, None) for name in _NAMES)  # older versions lack a few
    return (*(kind for kind in known if kind is not None), RuntimeError, ValueError, MemoryError)


def refuse(path: Path, error: Exception) -> ModelError:
    """The error for a model that ONNX Runtime would not load."""
    text = _first_line(error)
    if found := _UNKNOWN.search(text):
        name = printable(found[1].replace(":", ".").strip("."), 80)
        return ModelError(
            f"model {path} has the operator {name}, which this ONNX Runtime does not know: export it without (what "
            "TensorRT adds, above all), or update ONNX Runtime"
        )
    for words, remedy in _REMEDIES:
        if words in text.lower():
            return ModelError(f"model {path} {remedy}")
    return ModelError(f"model {path} cannot be loaded: {text}")


def run_failed(error: Exception) -> InferenceError:
    """The error for a model run that failed, classed by what must be done."""
    return InferenceError(f"the model failed: {_first_line(error)}", kind=classify(error))


def classify(error: Exception) -> InferenceFailure:
    """Whether memory ran out, the GPU is lost (its CUDA context is dead), or only this run failed."""
    text = str(error)
    if isinstance(error, MemoryError) or _OUT_OF_MEMORY.search(text):
        return InferenceFailure.OUT_OF_MEMORY
    if type(error).__name__ == "DeviceReset" or _GPU_LOST.search(text):
        return InferenceFailure.GPU_LOST
    return InferenceFailure.OTHER


def _first_line(error: Any) -> str:
    """The message without ONNX Runtime's own prefix and the C++ signature in its middle."""
    text = " ".join(str(error).split())
    text = re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", text)
    text = re.sub(r"/\S+\.(?:cc|h):\d+ .*?\) ?(?:const )?(?=[A-Z])", "", text)
    return printable(text, 300)
