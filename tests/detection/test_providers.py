"""What runs the model, and what to install: judged on recorded file trees, not on this machine."""

import os
import subprocess
import sys

import pytest

from agent.core.errors import InferenceFailure
from agent.detection import failures
from agent.detection.providers import (
    CPU,
    CUDA,
    MOST_ENGINES,
    TENSORRT,
    Machine,
    available_threads,
    choose,
    engine_directory,
    identify,
    install_advice,
    parse_tegra_release,
    prune_engines,
    tensorrt_options,
)

ORIN = "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64, DATE: Wed Jan  8 2025"
XAVIER = "# R35 (release), REVISION: 5.0, GCID: 35550185, BOARD: t186ref, EABI: aarch64"


def tree(root, files):
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize(
    ("files", "machine", "words"),
    [
        ({}, Machine.PLAIN, "[cpu]"),
        ({"proc/driver/nvidia/version": "NVRM"}, Machine.NVIDIA, "[gpu]"),
        ({"etc/nv_tegra_release": ORIN}, Machine.JETSON, "jp6/cu126"),
        ({"etc/nv_tegra_release": XAVIER, "proc/driver/nvidia/version": "x"}, Machine.JETSON, "jp5/cu114"),
    ],
)
def test_each_machine_is_told_its_own_command(tmp_path, files, machine, words):
    root = tree(tmp_path, files)
    assert identify(root) is machine
    assert words in install_advice(root)


def test_the_tegra_release_is_read():
    assert parse_tegra_release(ORIN) == 36
    assert parse_tegra_release("") == 0


@pytest.mark.parametrize(
    ("wanted", "available", "cached", "expected"),
    [
        ("auto", [CPU], False, [CPU]),
        ("auto", [TENSORRT, CUDA, CPU], False, [CUDA, CPU]),
        ("auto", [TENSORRT, CUDA, CPU], True, [TENSORRT, CUDA, CPU]),
        ("tensorrt", [TENSORRT, CUDA, CPU], False, [TENSORRT, CUDA, CPU]),
        ("tensorrt", [CUDA, CPU], False, [CUDA, CPU]),
        ("cuda", [TENSORRT, CUDA, CPU], True, [CUDA, CPU]),
        ("cuda", [CPU], False, [CPU]),
        ("cpu", [TENSORRT, CUDA, CPU], True, [CPU]),
    ],
)
def test_the_order_of_providers(wanted, available, cached, expected):
    assert choose(wanted, available, engine_cached=cached) == expected


def test_engines_are_kept_apart_by_model_gpu_driver_precision_and_runtime(tmp_path):
    same = {"model": "a" * 64, "precision": "fp16", "runtime": "1.20", "gpu": "Orin (8, 7) 540.4"}
    others = [{"model": "b" * 64}, {"precision": "fp32"}, {"runtime": "1.21"}, {"gpu": "Orin (8, 7) 540.5"}]
    places = {engine_directory(tmp_path, **{**same, **other}) for other in [{}, *others]}
    assert len(places) == 5
    assert engine_directory(tmp_path, **same) in places
    assert tensorrt_options(1, tmp_path, half=True, shapes={})["trt_engine_cache_path"] == str(tmp_path)


def test_engines_that_were_not_used_for_longest_are_removed_and_nothing_else(tmp_path):
    """A model a week and a driver a quarter: their engines filled the disk."""
    same = {"precision": "fp16", "runtime": "1.20", "gpu": "Orin (8, 7) 540.4"}
    engines = [engine_directory(tmp_path, model=f"{number:016x}", **same) for number in range(1, 8)]
    for used, place in enumerate(engines, start=1):
        (place / "deep").mkdir(parents=True)
        (place / "deep" / "a.engine").write_bytes(b"x")
        os.utime(place, (used, used))
    others = [tmp_path / "choices.json", tmp_path / "mine"]
    others[0].write_text("{}")
    others[1].mkdir()
    prune_engines(engines[0])  # the oldest: whoever goes back to an earlier model
    kept = [engines[0], *engines[-MOST_ENGINES + 1 :]]
    assert sorted(tmp_path.iterdir()) == sorted([*kept, *others])
    prune_engines(engines[-1])
    assert sorted(tmp_path.iterdir()) == sorted([*kept, *others]), "it was used last"
    prune_engines(tmp_path / "nowhere" / "else")


def test_threads_never_exceed_the_quota_of_the_container():
    everything = available_threads(1e6)
    assert everything >= 1
    assert available_threads(1.0) == 1
    assert available_threads(0.5) == 1
    assert available_threads(999.0) == everything
    assert available_threads(0.01) == 1 <= everything


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("CUDA failure 2: out of memory ; GPU=0 ; hostname=x", "out_of_memory"),
        (
            "BFCArena::AllocateRawInternal Failed to allocate memory for requested buffer of size 123",
            "out_of_memory",
        ),
        ("CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED", "out_of_memory"),
        ("CUDA failure 700: an illegal memory access was encountered", "gpu_lost"),
        ("CUDA failure 719: unspecified launch failure ; GPU=0", "gpu_lost"),
        ("CUDNN failure 5000: CUDNN_STATUS_EXECUTION_FAILED", "gpu_lost"),
        ("Non zero status code returned while running Concat node. Name:'/model.12/Concat'", "other"),
        ("Got invalid dimensions for input: images", "other"),
    ],
)
def test_failures_are_classed_by_what_the_runtime_says(text, kind):
    assert failures.classify(RuntimeError(text)) is InferenceFailure(kind)
    assert failures.run_failed(RuntimeError(text)).kind is InferenceFailure(kind)


def test_memory_errors_of_python_are_out_of_memory():
    assert failures.classify(MemoryError()) is InferenceFailure.OUT_OF_MEMORY


def test_the_runtime_keeps_and_sends_no_usage_data(tmp_path):
    code = (
        "from agent.detection.providers import load_runtime\n"
        "import agent.detection, pathlib\n"
        "model = pathlib.Path(agent.detection.__file__).with_name('demo.onnx')\n"
        "load_runtime().InferenceSession(str(model), providers=['CPUExecutionProvider'])\n"
    )
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("ORT_", "XDG_"))}
    subprocess.run([sys.executable, "-c", code], check=True, env={**environment, "HOME": str(tmp_path)})
    assert list(tmp_path.rglob("*")) == []
