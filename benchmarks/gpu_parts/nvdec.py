"""Decoding on the GPU through PyAV: whether it works, the same pictures, frames/s and CPU a frame beside the CPU's."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import av
import numpy as np
import structlog

from agent.cameras.kinds.decoder import Decoder
from agent.cameras.kinds.stream import StreamCamera
from agent.core.errors import CameraError
from agent.core.secret import Masked
from gpu_parts.device import Gpu
from gpu_parts.note import note, rounded, run


def main(about: dict[str, Any]) -> None:
    """Both decoders on each video, in turn, and what the camera itself says."""
    from av.codec.hwaccel import hwdevices_available

    av.logging.set_level(av.logging.WARNING)
    note("NVDEC", what="PyAV", says=f"{av.__version__}, devices {' '.join(hwdevices_available()) or 'none'}")
    for video in about["videos"]:
        pictures = {}
        for turn in range(about["rounds"]):
            for cuda in (False, True):
                picture = attempt(video, turn, cuda=cuda, seconds=about["seconds"])
                if picture is not None:
                    pictures[cuda] = picture
        if len(pictures) == 2:
            off = np.abs(pictures[True].astype(int) - pictures[False].astype(int))
            note("NVDEC", what=Path(video).stem, mean_difference=rounded(off.mean()), largest=int(off.max()))
    camera(about["videos"][0])


def attempt(video: str, turn: int, *, cuda: bool, seconds: float) -> Any:
    try:
        return decode(video, turn, cuda=cuda, seconds=seconds)
    except Exception as error:  # noqa: BLE001  (what it says is the finding)
        decoder = "cuda" if cuda else "cpu"
        note("NVDEC", what=Path(video).stem, decoder=decoder, says=str(error)[:300])
        return None


def decode(video: str, turn: int, *, cuda: bool, seconds: float) -> Any:
    """Decode for so long, give the tenth picture."""
    decoder, gpu = Decoder(f"file:{video}", timeout=10.0, cuda=cuda, live=False), Gpu()
    decoder.open()
    kept, frames = None, 0
    began, cpu = time.perf_counter(), time.process_time()
    with gpu.watched() as used:
        while time.perf_counter() - began < seconds:
            picture = decoder.next()
            if picture is None:
                break
            frames += 1
            image = picture.image()
            kept = image if frames == 10 or kept is None else kept
    wall, cpu = time.perf_counter() - began, time.process_time() - cpu
    note(
        "NVDEC", what=Path(video).stem, round=turn + 1, decoder="cuda" if cuda else "cpu", on_gpu=decoder.on_gpu,
        fps=rounded(frames / wall, 1), cpu_ms=rounded(cpu * 1e3 / max(1, frames)), **used,
    )  # fmt: skip
    decoder.close()
    return kept


def camera(video: str) -> None:
    """`decoder = "cuda"` as a user sets it; its warning is the log's."""
    said: list[str] = []

    def keep(_logger: Any, _method: str, event: Any) -> Any:
        said.append(str(event.get("event")))
        raise structlog.DropEvent

    structlog.configure(processors=[keep])
    source = StreamCamera("bench", StreamCamera.Options(url=Masked(video), pace="fast", decoder="cuda"))
    try:
        source.open()
        frame = source.read()
        assert frame is not None
        said.append(f"a frame of {frame.image.shape}")
    except CameraError as error:
        said.append(str(error))
    finally:
        source.close()
    note("NVDEC", what='a camera with decoder = "cuda"', says="; ".join(said))


if __name__ == "__main__":
    run(main)
