"""Number formats besides float32 that this CPU computes fast, by the kernel's flags."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

# In /proc/cpuinfo: x86 says "flags", Arm "Features". An emulation of bf16 on AVX-512 alone, which OpenVINO offers, is
# slower than float32.
_BF16 = frozenset({"amx_bf16", "avx512_bf16", "bf16"})
_VNNI = frozenset({"avx512_vnni", "avx_vnni", "amx_int8"})
_X86, _ARM = "flags", "Features"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cpu:
    """`model` names it; `bf16`: it multiplies bfloat16; `saturates`: it adds two products of int8 in 16 bits, so that
    weights of 8 bits overflow (x86 before VNNI)."""

    model: str
    bf16: bool
    saturates: bool


def parse_cpu(text: str, machine: str) -> Cpu:
    """The CPU of /proc/cpuinfo's `text` on a `machine` such as "x86_64"; of several kinds of core, what all have."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        key, _, value = line.partition(":")
        found.setdefault(key.strip(), []).append(value.strip())
    sets = [frozenset(line.split()) for line in (*found.get(_X86, ()), *found.get(_ARM, ()))]
    flags = frozenset.intersection(*sets) if sets else frozenset[str]()
    names = found.get("model name") or found.get("Model") or found.get("Hardware") or [machine]
    parts = {key: found.get(key, [""])[0] for key in ("cpu family", "model", "CPU part", "stepping")}
    return Cpu(
        model=" ".join([names[0], *filter(None, parts.values())]),
        bf16=bool(flags & _BF16),
        saturates=machine in ("x86_64", "i686") and not flags & _VNNI,
    )


@lru_cache(maxsize=1)
def read_cpu() -> Cpu:
    """This machine's."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    return parse_cpu(text, platform.machine())
