"""The C heap gives back what was freed."""

import subprocess
import sys
import textwrap

import pytest

MEASURED = """
    import ctypes
    from agent.core import memory as heap

    def resident():
        return int(open("/proc/self/statm").read().split()[1]) * 4096 / 1e6

    heap.share_arenas()
    libc = ctypes.CDLL(None)
    libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
    blocks = [libc.malloc(100_000) for _ in range(600)]
    for block in blocks:
        ctypes.memset(block, 1, 100_000)
    for block in blocks[::2]:  # holes: nothing goes back by itself
        libc.free(block)
    before = resident()
    heap.trim()
    print(before - resident())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_what_was_freed_goes_back_to_the_system():
    script = textwrap.dedent(MEASURED)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert float(done.stdout) > 20.0


BOUNDED = """
    from agent.core import memory as heap

    heap.free_bytes = lambda: 500_000_000
    with heap.bounded():
        try:
            bytearray(1_000_000_000)
        except MemoryError:
            print("refused")
    print(len(bytearray(1_000_000_000)))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux' RLIMIT_DATA")
def test_memory_has_an_end_while_a_foreign_model_is_opened():
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(BOUNDED)], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["refused", "1000000000"]
