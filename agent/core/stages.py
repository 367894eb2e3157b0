"""The stages of a frame from capture to result: one table of their names."""

from __future__ import annotations

from collections.abc import Mapping

STAGES: Mapping[str, str] = {
    "decode": "decoding time",
    "wait": "waiting time",
    "preprocess": "preprocessing time",
    "inference": "inference time",
    "postprocess": "postprocessing time",
}
"""A stage as it is called in payloads and metrics, and in words. `StageSeconds` has a field for each."""

TOTAL = "latency"
"""All of them: capture to result. Prometheus calls this stage `total`."""
