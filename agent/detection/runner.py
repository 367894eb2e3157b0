"""Run one session of ONNX Runtime: open it with the providers wanted, feed it arrays, get arrays."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from agent.core import memory as heap
from agent.core.errors import InferenceError
from agent.detection import failures
from agent.detection.model_input import DeclaredInput, parse_input
from agent.detection.providers import CPU, SHORT
from agent.detection.run_limit import LOOK_SECONDS, RunLimit

Providers = Sequence[str | tuple[str, Mapping[str, str]]]


class Runner:
    """An open ONNX Runtime session with one image input."""

    def __init__(self, runtime: Any, path: Path, providers: Providers, *, threads: int) -> None:
        self._errors = failures.runtime_errors()
        options = runtime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Threads that spin while they wait take the cores from the decoders: on a busy box twice the CPU time.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 4  # its errors come as exceptions; its own lines bypass our log
        try:
            self._session = runtime.InferenceSession(str(path), options, providers=list(providers))
            outputs = self._session.get_outputs()
            self.outputs: list[str] = [output.name for output in outputs]
            inputs = self._session.get_inputs()
        except self._errors as error:
            raise failures.refuse(path, error) from error
        self._runtime = runtime
        self.runtime = f"onnxruntime {runtime.__version__}"
        self.path = path
        self.input = parse_input(
            path, [DeclaredInput(name=one.name, kind=one.type, sides=one.shape) for one in inputs]
        )
        used = next(name for name in (*self._session.get_providers(), CPU) if name in SHORT)
        self.provider = SHORT[used]
        self.threads = threads if self.provider == "cpu" else 0
        self.precision = "fp32"
        self._binding: _Binding | None = None
        self._planned: set[tuple[int, ...]] = set()
        self._planning = threading.Lock()

    def bind(self, device: str, device_id: int) -> None:
        """From now on keep the input in memory of `device` ("cuda", "cpu") instead of allocating anew."""
        self._binding = _Binding(self._runtime, self._session, device, device_id)

    def warm_up(self, batch: NDArray[Any]) -> list[NDArray[Any]]:
        """Run twice: the second run is the first at full speed. What they took is given back."""
        self._first(batch)
        return self._first(batch)

    def run(self, batch: NDArray[Any]) -> list[NDArray[Any]]:
        """Every output for `batch`. Raises InferenceError."""
        if batch.shape not in self._planned:
            with self._planning:
                if batch.shape not in self._planned:
                    return self._first(batch)
        return self._run(batch, None)

    def release(self) -> None:
        """The next run of each shape gives back what is not in use."""
        self._planned.clear()

    def _first(self, batch: NDArray[Any]) -> list[NDArray[Any]]:
        """A run after which memory that is not in use goes back to the system.

        The first run of a shape takes its memory piece by piece; from then on it is planned and taken as one
        block, and the pieces would be kept for nothing (YOLO11n: 15 MB). No plan at all saves as much, but then lanes
        exchange pieces, which costs a tenth of the speed where their cores share no cache.
        """
        options = self._runtime.RunOptions()
        if self.provider == "cpu":
            options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
            outputs = self._run_within(RunLimit(), batch, options)
        else:  # (there a first run may build an engine for many minutes)
            outputs = self._run(batch, options)
        heap.trim()
        self._planned.add(batch.shape)
        return outputs

    def _run_within(self, limit: RunLimit, batch: NDArray[Any], options: Any) -> list[NDArray[Any]]:
        """A run that is ended by `limit`: a graph may loop for ever, and no Ctrl-C reaches it."""
        ended = threading.Event()

        def watch() -> None:
            while not ended.wait(LOOK_SECONDS):
                options.terminate = limit.over

        threading.Thread(target=watch, name="first-run", daemon=True).start()
        try:
            return self._run(batch, options)
        except InferenceError as error:
            if not options.terminate:
                raise
            raise InferenceError(f"one run takes over {limit.seconds:g} s", kind=error.kind) from error
        finally:
            ended.set()

    def _run(self, batch: NDArray[Any], options: Any) -> list[NDArray[Any]]:
        try:
            if self._binding is not None:
                return self._binding.run(batch)
            outputs: list[NDArray[Any]] = self._session.run(None, {self.input.name: batch}, options)
        except self._errors as error:
            raise failures.run_failed(error) from error
        return outputs


class _Binding:
    """I/O binding: one device buffer for each input shape and each of its outputs, written in place.

    ONNX Runtime writes a binding's outputs where its first run did, so that no run takes memory of the device. A model
    whose outputs differ in size from run to run gets new ones each time.
    """

    def __init__(self, runtime: Any, session: Any, device: str, device_id: int) -> None:
        self._runtime, self._session = runtime, session
        self._device, self._device_id = device, device_id
        self._errors = failures.runtime_errors()
        self._name = session.get_inputs()[0].name
        self._bound: dict[tuple[int, ...], tuple[Any, Any]] = {}
        self._same_size = True

    def run(self, batch: NDArray[Any]) -> list[NDArray[Any]]:
        new = batch.shape not in self._bound
        if new:
            self._bound[batch.shape] = self._allocated(batch)
        binding, value = self._bound[batch.shape]
        if not self._same_size:
            self._place_outputs(binding)
        value.update_inplace(batch)
        try:
            self._session.run_with_iobinding(binding)
        except self._errors:
            if new or not self._same_size:
                raise
            self._same_size = False  # perhaps another number of boxes than before
            self._place_outputs(binding)
            self._session.run_with_iobinding(binding)
        outputs: list[NDArray[Any]] = binding.copy_outputs_to_cpu()
        return outputs

    def _allocated(self, batch: NDArray[Any]) -> tuple[Any, Any]:
        # a copy: on the CPU the value is the array's own memory
        value = self._runtime.OrtValue.ortvalue_from_numpy(batch.copy(), self._device, self._device_id)
        binding = self._session.io_binding()
        binding.bind_ortvalue_input(self._name, value)
        self._place_outputs(binding)
        return binding, value

    def _place_outputs(self, binding: Any) -> None:
        for output in self._session.get_outputs():
            binding.bind_output(output.name, self._device, self._device_id)
