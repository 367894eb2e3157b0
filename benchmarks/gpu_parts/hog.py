"""Take the GPU's memory, all but so many MB, by the driver itself; print `holding`, and hold it until stdin ends."""

from __future__ import annotations

import ctypes
import sys

CHUNKS = (2**30, 2**27, 2**24)


def main() -> int:
    """`hog.py LEAVE_MB`."""
    leave = int(sys.argv[1]) * 2**20
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        print(f"no CUDA driver: {error}", flush=True)
        return 1
    device, context = ctypes.c_int(), ctypes.c_void_p()
    for code in (
        driver.cuInit(0),
        driver.cuDeviceGet(ctypes.byref(device), 0),
        driver.cuDevicePrimaryCtxRetain(ctypes.byref(context), device),
        driver.cuCtxSetCurrent(context),
    ):
        if code:
            print(f"the CUDA driver says {code}", flush=True)
            return 1
    held = 0
    for chunk in CHUNKS:
        while free(driver) - chunk > leave and take(driver, chunk):
            held += chunk
    print(f"holding {held >> 20} MB, {free(driver) >> 20} MB are free", flush=True)
    sys.stdin.read()
    return 0


def free(driver: ctypes.CDLL) -> int:
    unused, total = ctypes.c_size_t(), ctypes.c_size_t()
    driver.cuMemGetInfo_v2(ctypes.byref(unused), ctypes.byref(total))
    return unused.value


def take(driver: ctypes.CDLL, size: int) -> bool:
    place = ctypes.c_uint64()
    return driver.cuMemAlloc_v2(ctypes.byref(place), ctypes.c_size_t(size)) == 0


if __name__ == "__main__":
    sys.exit(main())
