"""OpenVINO as an engine: runs a model on the CPU, in half precision (bf16) where the CPU has it. Extra `openvino`."""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import structlog
from numpy.typing import NDArray

from agent.config.schema import ModelSettings
from agent.core import memory as heap
from agent.core.errors import InferenceError, InferenceFailure, MissingExtra, ModelError
from agent.core.installation import how_to_add
from agent.core.printable import printable
from agent.detection import failures, onnx_file
from agent.detection.cpu import read_cpu
from agent.detection.metadata import parse
from agent.detection.model_input import DeclaredInput, parse_input
from agent.detection.run_limit import LOOK_SECONDS, RunLimit
from agent.detection.sizing import cpu_lanes, cpu_threads

log = structlog.get_logger("vedette.detection")

PROVIDER = "openvino"
MOST_SHAPES = 4
"""How many shapes get a graph of their own: each takes memory, 20 MB for YOLO11n."""

_HINTS = {"fp32": "f32", "bf16": "bf16"}
_PLACES = re.compile(
    r"Exception from \S+:\d+: |Check '.*?' failed at \S+:\d+: |FrontEnd API failed with \w+: "
)
_ONNX_KINDS = {
    "f32": "tensor(float)",
    "f16": "tensor(float16)",
    "u8": "tensor(uint8)",
    "i64": "tensor(int64)",
}


class OpenVino:
    """Loads models as `settings` say."""

    def __init__(self, settings: ModelSettings, cache: Path | None) -> None:
        self.settings, self._cache = settings, cache

    @staticmethod
    def library() -> Any:
        """The module openvino. Raises MissingExtra."""
        return load_openvino()

    def load(self, path: Path, sha256: str) -> OpenVinoRunner:  # noqa: ARG002  (nothing is kept by model)
        """The model, compiled for this CPU; raises ModelError, MissingExtra."""
        wanted = self.settings.precision
        # what INT8 leaves in float needs no 23 bits (F1 of YOLO11n on three videos: no worse), and is faster so
        half = wanted == "bf16" or (wanted == "auto" and _int8(path))
        precision = "bf16" if half and read_cpu().bf16 else "fp32"
        if wanted not in ("auto", precision):
            log.warning(
                "model does not run in the requested precision",
                wanted=wanted,
                precision=precision,
                advice='OpenVINO takes fp32 and, where the CPU has it, bf16: set model.precision = "auto"',
            )
        threads, lanes = cpu_threads(self.settings), cpu_lanes(self.settings)
        return OpenVinoRunner(path, precision=precision, threads=max(threads, lanes), lanes=lanes)


class OpenVinoRunner:
    """A model that OpenVINO compiled: `threads` in all, for up to `lanes` runs at a time.

    Where the file leaves sides free, each of the first MOST_SHAPES shapes gets a graph of its own: with fixed sides the
    memory is planned and parts are put together in place (YOLO11n: 0.87 of the time). What comes beyond runs on one
    graph with free sides.
    """

    provider = PROVIDER

    def __init__(self, path: Path, *, precision: str, threads: int, lanes: int) -> None:
        self._library = library = load_openvino()
        self.path, self.precision, self.threads = path, precision, max(1, threads // lanes)
        self.runtime = f"openvino {library.__version__.partition('-')[0]}"
        self._errors = _errors(library)
        self._options = {
            "INFERENCE_PRECISION_HINT": _HINTS[precision],  # by itself it takes bf16 wherever there is any
            "INFERENCE_NUM_THREADS": str(threads),
            "NUM_STREAMS": str(lanes),
            "ENABLE_CPU_PINNING": "NO",  # decoders need the same cores
        }
        try:
            # this one reader: the library would try those of other formats on the file, too
            reader = library.frontend.FrontEndManager().load_by_framework("onnx")
            self._graph = graph = reader.convert(reader.load(str(path)))
            self.input = parse_input(path, [_declared(one) for one in graph.inputs])
            self.outputs = [output.get_any_name() for output in graph.outputs]
            self._free = graph.inputs[0].partial_shape.is_dynamic
            fixed = None if self._free else self._compiled(())
        except self._errors as error:
            raise _refused(path, error) from error
        self._graphs: dict[tuple[int, ...], _Graph] = {(): fixed} if fixed else {}
        self._compiling = threading.Lock()
        heap.trim()

    def warm_up(self, batch: NDArray[Any]) -> list[NDArray[Any]]:
        """Run twice: the second run is the first at full speed. With free sides, only to see that it runs."""
        if not self._free:
            self._graphs[()].first(batch)
            return self._graphs[()].run(batch)
        outputs = self._graph_for(batch).first(batch)
        heap.trim()
        return outputs

    def run(self, batch: NDArray[Any]) -> list[NDArray[Any]]:
        """Every output for `batch`. Raises InferenceError."""
        graph = self._graphs.get(batch.shape if self._free else ())
        return (graph or self._graph_for(batch)).run(batch)

    def release(self) -> None:
        """Let go of the graphs of the shapes so far; no run may be at work."""
        if self._free:
            self._graphs.clear()
            heap.trim()

    def _graph_for(self, batch: NDArray[Any]) -> _Graph:
        """The graph of a shape that was not there yet."""
        with self._compiling:
            if batch.shape not in self._graphs:
                full = len(self._graphs) >= MOST_SHAPES
                self._graphs[batch.shape] = self._unbound() if full else self._compiled_for(batch)
            return self._graphs[batch.shape]

    def _unbound(self) -> _Graph:
        """The graph with free sides."""
        if () not in self._graphs:
            self._graphs[()] = self._compiled(())
        return self._graphs[()]

    def _compiled_for(self, batch: NDArray[Any]) -> _Graph:
        try:
            return self._compiled(batch.shape)
        except self._errors as error:
            raise failures.run_failed(error) from error

    def _compiled(self, shape: tuple[int, ...]) -> _Graph:
        graph = self._graph
        if shape:
            graph = graph.clone()
            graph.reshape(list(shape))
        return _Graph(self._library.Core().compile_model(graph, "CPU", self._options), self._errors)


class _Graph:
    """A compiled graph, and the memory of the runs on it."""

    def __init__(self, compiled: Any, errors: tuple[type[Exception], ...]) -> None:
        self._compiled, self._errors = compiled, errors
        self._idle: list[Any] = []
        self._guard = threading.Lock()
        self._known: set[tuple[int, ...]] = set()

    def run(self, batch: NDArray[Any]) -> list[NDArray[Any]]:
        """Every output for `batch`. Raises InferenceError."""
        if batch.shape not in self._known:
            return self.first(batch)
        try:
            with self._request() as request:
                request.infer([batch], share_inputs=True, share_outputs=True)
                return _copied(request)
        except self._errors as error:
            raise failures.run_failed(error) from error

    def first(self, batch: NDArray[Any]) -> list[NDArray[Any]]:
        """A run that is ended by a limit: a graph may loop for ever, and no Ctrl-C reaches it."""
        limit = RunLimit()
        try:
            with self._request() as request:
                request.start_async([batch], share_inputs=True)
                while not request.wait_for(round(LOOK_SECONDS * 1000)):
                    if limit.over:
                        request.cancel()
                        raise InferenceError(
                            f"one run takes over {limit.seconds:g} s", kind=InferenceFailure.OTHER
                        )
                outputs = _copied(request)
        except self._errors as error:
            raise failures.run_failed(error) from error
        heap.trim()
        self._known.add(batch.shape)
        return outputs

    @contextmanager
    def _request(self) -> Iterator[Any]:
        """A run's own memory, lent to one thread at a time; one that failed is not used again."""
        with self._guard:
            request = self._idle.pop() if self._idle else None
        request = request or self._compiled.create_infer_request()
        yield request
        with self._guard:
            self._idle.append(request)


def load_openvino() -> Any:
    """The module openvino. Raises MissingExtra naming the key and the command that installs it."""
    blocked = "openvino_telemetry"  # it counts uses under ~/intel, for upload; without it openvino has a stub
    present = sys.modules.get(blocked)
    sys.modules[blocked] = None  # type: ignore[assignment]  # what `import` takes for a module that is not there
    try:
        import openvino
        import openvino.frontend
    except ImportError as error:
        raise MissingExtra(
            f'[model] provider = "openvino": OpenVINO is not installed ({error}): {how_to_add("openvino")}, or set '
            '"cpu"'
        ) from error
    finally:
        del sys.modules[blocked]
        if present is not None:
            sys.modules[blocked] = present
    return openvino


def _int8(path: Path) -> bool:
    return parse(onnx_file.metadata(path), path).precision == "int8"


def _errors(library: Any) -> tuple[type[Exception], ...]:
    """The exceptions that OpenVINO raises; those of its readers have no common base."""
    kinds = (value for name, value in vars(library.frontend).items() if name.endswith("Failure"))
    return (*kinds, RuntimeError, ValueError, TypeError, MemoryError)


def _declared(port: Any) -> DeclaredInput:
    name, kind = port.get_any_name(), port.get_element_type().get_type_name()
    sides = [side.get_length() if side.is_static else None for side in port.get_partial_shape()]
    return DeclaredInput(name=name, kind=_ONNX_KINDS.get(kind, f"tensor({kind})"), sides=sides)


def _copied(request: Any) -> list[NDArray[Any]]:
    """The outputs in memory of their own: the request's is written over by its next run."""
    return [np.array(tensor.data) for tensor in request.output_tensors]


def _refused(path: Path, error: Exception) -> ModelError:
    text = _PLACES.sub("", " ".join(str(error).split()))
    return ModelError(f"model {path} cannot be loaded by OpenVINO: {printable(text, 300)}")
