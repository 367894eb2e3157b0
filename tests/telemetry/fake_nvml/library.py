"""Builds the fake NVML of `nvml.c`, which tests give to the real pynvml in place of the driver's."""

import shutil
import subprocess
from pathlib import Path

import pytest

SOURCE = Path(__file__).with_name("nvml.c")


def build(folder):
    """Compile the library into `folder`, the value for LD_LIBRARY_PATH; the test is skipped without a compiler."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler")
    words = [compiler, "-shared", "-fPIC", "-w", "-o", folder / "libnvidia-ml.so.1", SOURCE]
    subprocess.run(words, check=True)
    return folder
