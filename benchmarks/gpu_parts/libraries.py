"""What is installed here, which of the CUDA provider's libraries are missing, and whether it runs a model at all."""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from gpu_parts.note import note, run

PACKAGES = ("numpy", "cv2", "av", "datasketches", "structlog", "paho.mqtt", "psutil", "rich", "onnxruntime")


def main(about: dict[str, Any]) -> None:
    """Say it before anything is measured: a missing library is to be seen in the first minute."""
    import onnxruntime

    folder = Path(onnxruntime.__file__).parent / "capi"
    missing_libraries(folder / "libonnxruntime_providers_cuda.so")
    note("machine", what="cores", value=len(os.sched_getaffinity(0)))
    for name in PACKAGES:
        note("machine", what=name, value=version(name))
    note("machine", what="providers", value=" ".join(onnxruntime.get_available_providers()))
    for line in shell(
        "nvidia-smi", "--query-gpu=name,driver_version,memory.total,pstate", "--format=csv,noheader"
    ):
        note("machine", what="nvidia-smi", value=line)
    from gpu_parts.bare import providers  # takes the agent's other libraries along, which may be missing

    session = onnxruntime.InferenceSession(about["model"], providers=providers(about["provider"]))
    note("machine", what="a session runs on", value=session.get_providers()[0])


def missing_libraries(library: Path) -> None:
    if not library.exists():
        note("machine", what="CUDA provider", value="this ONNX Runtime has none")
        return
    missing = [line.split()[0] for line in shell("ldd", str(library)) if "not found" in line]
    note("machine", what="libraries that the CUDA provider lacks", value=" ".join(missing) or "none")


def version(name: str) -> str:
    try:
        module = importlib.import_module(name)
    except ImportError as error:
        return f"not here: {error}"
    return str(getattr(module, "__version__", "here"))


def shell(*words: str) -> list[str]:
    if shutil.which(words[0]) is None:
        return [f"no {words[0]} here"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=20, check=False)
    return (done.stdout or done.stderr).strip().splitlines()


if __name__ == "__main__":
    run(main)
