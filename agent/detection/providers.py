"""Chooses the execution provider for this machine, and names what to install where there is none."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sys
from collections.abc import Sequence
from contextlib import suppress
from enum import Enum
from pathlib import Path
from typing import Any

from agent.core.cgroup import read_limits
from agent.core.errors import MissingExtra
from agent.core.installation import how_to_add

CPU, CUDA, TENSORRT = "CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"
SHORT = {CPU: "cpu", CUDA: "cuda", TENSORRT: "tensorrt"}

MOST_ENGINES = 4
"""Kept: the running model's, another one's on trial, and those that whoever goes back to one needs again."""
_ENGINES = re.compile(r"[0-9a-f]{16}-[0-9a-f]{12}")

# NVIDIA builds ONNX Runtime for Jetson per JetPack, by the release of Jetson Linux (L4T).
_JETSON_INDEX = "https://pypi.jetson-ai-lab.io"
_JETSON_BUILDS = {35: "jp5/cu114", 36: "jp6/cu126", 38: "sbsa/cu130"}


class Machine(str, Enum):
    """The kinds of machine that need different builds of ONNX Runtime."""

    JETSON = "jetson"
    NVIDIA = "nvidia"
    PLAIN = "plain"


def identify(root: Path = Path("/")) -> Machine:
    """What kind of machine this is, by the files of its kernel driver and firmware under `root`."""
    if (root / "etc/nv_tegra_release").exists() or (root / "sys/module/tegra_fuse").exists():
        return Machine.JETSON
    if (root / "proc/driver/nvidia/version").exists():
        return Machine.NVIDIA
    return Machine.PLAIN


def install_advice(root: Path = Path("/")) -> str:
    """The command that installs a fitting ONNX Runtime on this machine."""
    machine = identify(root)
    if machine is Machine.NVIDIA:
        return how_to_add("gpu")
    if machine is Machine.JETSON:
        build = _JETSON_BUILDS.get(parse_tegra_release(_read(root / "etc/nv_tegra_release")), "jp6/cu126")
        return f"{sys.executable} -m pip install onnxruntime-gpu --index-url {_JETSON_INDEX}/{build}"
    return how_to_add("cpu")


def parse_tegra_release(text: str) -> int:
    """The major release of Jetson Linux in `# R36 (release), REVISION: 4.0, ...`; 0 if there is none."""
    found = re.search(r"\bR(\d+)\b", text)
    return int(found.group(1)) if found else 0


def load_runtime(root: Path = Path("/")) -> Any:
    """The module onnxruntime, silenced. Raises MissingExtra naming the command that installs it here."""
    # Its builds on PyPI keep a device id and usage events under ~/.cache, for upload; this is read
    # at import (found with 1.32: `disable_telemetry_events()` comes too late for both files)
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtra(f"ONNX Runtime is not installed ({error}): {install_advice(root)}") from error
    if not hasattr(onnxruntime, "InferenceSession"):
        # what is left when one of onnxruntime and onnxruntime-gpu was removed after both were installed
        raise MissingExtra(
            f"ONNX Runtime is broken: {sys.executable} -m pip uninstall -y onnxruntime onnxruntime-gpu; "
            f"{install_advice(root)}"
        )
    return onnxruntime


def choose(wanted: str, available: Sequence[str], *, engine_cached: bool) -> list[str]:
    """Providers to try, in order; the CPU always comes last.

    `auto` takes TensorRT only where its engine is in the cache, as building one takes minutes.
    """
    order = {
        "cpu": [],
        "cuda": [CUDA],
        "tensorrt": [TENSORRT, CUDA],
        "auto": [TENSORRT, CUDA] if engine_cached else [CUDA],
    }[wanted]
    return [*(name for name in order if name in available), CPU]


def cuda_options(device_id: int, *, dynamic: bool, graph: bool = False) -> dict[str, str]:
    """Options of the CUDA provider; a search for each of many shapes would cost seconds every time.

    `graph`: runs are recorded once and replayed.
    """
    search = "HEURISTIC" if dynamic else "EXHAUSTIVE"
    options = {"device_id": str(device_id), "cudnn_conv_algo_search": search}
    return {**options, "enable_cuda_graph": "1"} if graph else options


def tensorrt_options(device_id: int, cache: Path, *, half: bool, shapes: dict[str, str]) -> dict[str, str]:
    """Options of the TensorRT provider with its engine cache; `shapes` bound a dynamic model's input."""
    return {
        "device_id": str(device_id),
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": str(cache),
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": str(cache),
        "trt_fp16_enable": "1" if half else "0",
        **shapes,
    }


def engine_directory(cache: Path, *, model: str, precision: str, runtime: str, gpu: str) -> Path:
    """Where engines of this model (its sha256) for this GPU, driver, precision and runtime are kept.

    An engine runs only where it was built; whatever changes gives another directory.
    """
    place = hashlib.sha256("\n".join((gpu, precision, runtime)).encode()).hexdigest()[:12]
    return cache / f"{model[:16]}-{place}"


def prune_engines(used: Path) -> None:
    """Remove the engines beside those in `used`, a directory of `engine_directory`, but for the MOST_ENGINES used last.

    Each model that was ever deployed, and each driver, leaves up to some hundred megabytes.
    """
    with suppress(OSError):  # its time of change is when it was used last
        os.utime(used)
        others = [one for one in used.parent.iterdir() if _ENGINES.fullmatch(one.name) and one != used]
        for old in sorted(others, key=lambda one: -one.stat().st_mtime)[MOST_ENGINES - 1 :]:
            shutil.rmtree(old, ignore_errors=True)


def describe_gpu(device_id: int) -> str:
    """Name, compute capability and driver of a GPU, for the engine cache; "" where NVML does not report it."""
    import pynvml

    try:
        pynvml.nvmlInit()
        try:
            handle = pynvml.nvmlDeviceGetHandleByIndex(device_id)
            capability = pynvml.nvmlDeviceGetCudaComputeCapability(handle)
            return f"{pynvml.nvmlDeviceGetName(handle)} {capability} {pynvml.nvmlSystemGetDriverVersion()}"
        finally:
            pynvml.nvmlShutdown()
    except pynvml.NVMLError:  # Jetson before JetPack 7: the board and its release stand for GPU and driver
        return _read(Path("/proc/device-tree/model")) + _read(Path("/etc/nv_tegra_release"))


def available_threads(quota: float | None = None) -> int:
    """CPUs that this process may really use: its affinity, capped by the limit of its control groups.

    `quota` is that limit in processor seconds a second; None reads it.
    """
    cpus = len(os.sched_getaffinity(0))
    limit = read_limits().cpus if quota is None else quota
    return cpus if limit is None else min(cpus, max(1, round(limit)))


def share(threads: int, lanes: int = 0) -> tuple[int, int]:
    """Runs of the model at a time on `threads` CPUs, and the threads that one of them takes when it is alone.

    `lanes` 0: two where there are two CPUs. A run works on the thread that calls it, and shares with the others a
    pool of what is left: so there are `threads` in all.
    """
    lanes = lanes or min(2, threads)
    return lanes, max(1, threads - lanes + 1)


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace").replace("\0", "").strip()
    except OSError:
        return ""
