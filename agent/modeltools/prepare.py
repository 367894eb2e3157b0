"""Prepare a model for the agent: export a checkpoint, add an embedding, check that it still sees the same.

Checkpoints are pickles: they are opened only in a subprocess, by ultralytics, never here.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agent.config.schema import ModelSettings
from agent.core.child_environment import child_environment
from agent.core.errors import MissingExtra, ModelError
from agent.core.installation import how_to_add
from agent.core.printable import printable
from agent.core.state_dir import write_atomic
from agent.core.untrusted import BadInput, parse_object, take_text
from agent.detection import ModelInfo, manifest, onnx_file
from agent.detection.agreement import EXACT, HALF
from agent.detection.manifest import Manifest
from agent.detection.metadata import Metadata, parse
from agent.detection.preprocess import OF_BYTES
from agent.detection.session import Detector
from agent.modeltools.compare import (
    ModelComparison,
    compare,
    compare_objects,
    drawn_images,
    fitted,
    photographs,
)
from agent.modeltools.frames import Progress

OPSET = 17  # read by every ONNX Runtime since 1.12, TensorRT since 8.6
_EXPORT_SECONDS = 1800  # exporting a large checkpoint on a small board takes minutes, not half an hour
_NO_ULTRALYTICS = 3  # exit code of the export script
_EXPORT = """
import json, sys
try:
    import onnx, ultralytics
except ImportError as error:
    print(error, file=sys.stderr)
    sys.exit(3)
from importlib.util import find_spec
path, size, dynamic, opset = json.loads(sys.argv[1])
model = ultralytics.YOLO(path)
simplify = find_spec("onnxslim") is not None
out = model.export(format="onnx", imgsz=size, dynamic=dynamic, opset=opset, simplify=simplify, device="cpu")
print()
print("EXPORTED " + json.dumps({"path": str(out), "ultralytics": ultralytics.__version__}))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparePlan:
    """What to make of a model.

    `image_size` is (height, width), None: the model's own. `dynamic` None: as the source is (a checkpoint
    becomes dynamic). `device` is what will run it, "cpu" or "gpu". `letterbox` is where frames are resized, "cpu" or
    in the "graph", there of any size or of `frame_size` (height, width) alone. `python` is the interpreter that has
    ultralytics. `force` allows to replace what was prepared before; the source is never replaced.
    """

    source: Path
    out: Path
    image_size: tuple[int, int] | None = None
    half: bool = False
    uint8: bool = False
    dynamic: bool | None = None
    device: str = "cpu"
    letterbox: str = "cpu"
    frame_size: tuple[int, int] | None = None
    python: str = sys.executable
    force: bool = False
    int8: Int8Wish | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Int8Wish:
    """INT8 by `frames` of the camera, read when the model's input size is known; they are shown as `source`."""

    frames: Callable[[tuple[int, int]], Sequence[NDArray[np.uint8]]]
    source: str
    least_f1: float
    progress: Progress


def prepare(plan: PreparePlan, images: Sequence[NDArray[np.uint8]], *, now: float) -> tuple[Path, Manifest]:
    """Write NAME.onnx and NAME.json into `plan.out`; nothing is written if the check fails.

    `images` (H, W, 3) BGR are what the prepared model is checked on; none: drawn ones. Raises ModelError,
    MissingExtra.
    """
    if importlib.util.find_spec("onnx") is None:
        raise MissingExtra(f"preparing a model needs the library 'onnx': {how_to_add('export')}")
    from agent.modeltools import embed, int8
    from agent.modeltools import graph_optimise as quicken
    from agent.modeltools.keep_best import keep_best

    if plan.source.suffix.lower() not in (".onnx", ".pt"):
        onnx_file.plain_file(plan.source)
        raise ModelError(f"model {plan.source}: expected a .pt checkpoint or an .onnx file")
    onnx_file.plain_file(plan.source)
    target = _free_target(plan)
    with (
        tempfile.TemporaryDirectory(prefix="vedette-prepare-") as folder,
        _named_by_source(folder, plan.source),
    ):
        start, version = _as_onnx(plan, Path(folder))
        model = embed.load(str(start))
        _match_size(model, plan, start)
        shaped = Path(folder) / "shaped.onnx"
        _save(model, shaped)
        rounded = embed.is_half(model)
        before = _info(shaped)  # raises what it is, if no detector
        if plan.int8:
            int8.refuse_unknown(model, before)
        quickened = quicken.quicken(model) if plan.device == "cpu" else 0
        tensor = embed.add_embedding(model)
        report = None
        if plan.half:
            model = embed.to_half(model)
        if plan.device == "gpu" and before.layout == "channels":
            keep_best(model)
        if plan.int8:
            model, report = _int8(plan.int8, model, before, Path(folder))
        if plan.uint8:
            embed.take_uint8(model, of_bytes=before.input_type in (one.value for one in OF_BYTES.values()))
        finished = Path(folder) / "finished.onnx"
        _save(model, finished)
        limit = HALF if plan.half or rounded else EXACT
        checks = None if report else compare(shaped, finished, images or drawn_images(), limit)
        if plan.letterbox == "graph":
            checks = _letterboxed(plan, model, before, finished, images)
        info = _info(finished, report.engines.split()[0] if report else "cpu")
        content = finished.read_bytes()
    record = Manifest(
        model=target.name,
        sha256=info.sha256,
        source=plan.source.name,
        source_sha256=manifest.digest(plan.source),
        classes=info.classes,
        input_size=info.input_size,
        input_type=info.input_type,
        dynamic=info.dynamic_size,
        layout=info.layout,
        embedding_size=info.embedding_size,
        embedding_tensor=tensor,
        quickened=quickened,
        opset=embed.opset_of(model),
        ultralytics=version or _metadata(model, plan.source).version,
        created=datetime.fromtimestamp(now, timezone.utc).isoformat(timespec="seconds"),
        checks=dataclasses.asdict(checks) if checks else {},
        int8=dataclasses.asdict(report) if report else {},
    )
    try:
        write_atomic(target, content, mode=0o644)
        manifest.write(manifest.path_of(target), record)
    except OSError as error:
        raise ModelError(
            f"{target} cannot be written: {error.strerror or error}; name a folder with --out"
        ) from error
    return target, record


def _letterboxed(
    plan: PreparePlan, model: Any, before: ModelInfo, finished: Path, images: Sequence[NDArray[np.uint8]]
) -> ModelComparison:
    """Have the model at `finished` letterbox frames itself; raises ModelError where it then finds other objects."""
    from agent.modeltools.letterbox_graph import letterbox_inside

    if before.layout != "channels" or not plan.uint8:
        raise ModelError(
            f"--letterbox graph is for models of the layout channels that take uint8; {plan.source.name} has the "
            f"layout {before.layout}{'' if plan.uint8 else ', and float was asked for'}"
        )
    minimal, target = before.dynamic_size, before.input_size
    letterbox_inside(model, target, stride=before.stride, minimal=minimal, frame=plan.frame_size)
    by_cpu = finished.replace(finished.with_name("by-cpu.onnx"))
    _save(model, finished)
    seen = images or photographs()
    return compare_objects(
        by_cpu, finished, [fitted(one, plan.frame_size) for one in seen] if plan.frame_size else seen
    )


def _int8(wish: Int8Wish, model: Any, before: ModelInfo, folder: Path) -> tuple[Any, Any]:
    from agent.modeltools.int8 import make_int8, refuse_frames

    frames = wish.frames(before.input_size)
    refuse_frames(frames, wish.source)
    return make_int8(model, before, frames, folder, least_f1=wish.least_f1, progress=wish.progress)


@contextmanager
def _named_by_source(folder: str, source: Path) -> Iterator[None]:
    """Name `source` in the errors about files of the temporary `folder`, which the user does not know."""
    try:
        yield
    except ModelError as error:
        text = re.sub(rf"{re.escape(folder)}/[^/\s:]+\.onnx", lambda _: str(source), str(error))
        raise (error if text == str(error) else ModelError(text)) from None


def _free_target(plan: PreparePlan) -> Path:
    """Where the model goes, before any work is done for it; ModelError where something is there already."""
    target = target_of(plan)
    if plan.out.exists() and not plan.out.is_dir():
        raise ModelError(f"{plan.out} is not a folder: give one with --out")
    taken = [path for path in (target, manifest.path_of(target)) if os.path.lexists(path)]
    if taken and not plan.force:
        raise ModelError(
            f"{taken[0]} is there already: name another folder with --out, or replace it with --force"
        )
    return target


def target_of(plan: PreparePlan) -> Path:
    """Where the prepared model goes; a source in the same folder is never overwritten."""
    target = plan.out / f"{plan.source.stem}.onnx"
    same = target.exists() and plan.source.exists() and target.samefile(plan.source)
    return plan.out / f"{plan.source.stem}-prepared.onnx" if same else target


def _as_onnx(plan: PreparePlan, folder: Path) -> tuple[Path, str]:
    """The source as an ONNX file, and the version of ultralytics that exported it here ("" if it was one)."""
    if plan.source.suffix.lower() == ".onnx":
        return plan.source, ""
    copy = folder / plan.source.name  # ultralytics writes beside its source
    shutil.copyfile(plan.source, copy)
    size = list(plan.image_size) if plan.image_size else None
    return _export(plan.python, copy, size or [640, 640], dynamic=plan.dynamic is not False)


def _export(python: str, checkpoint: Path, size: list[int], *, dynamic: bool) -> tuple[Path, str]:
    arguments = json.dumps([str(checkpoint), size, dynamic, OPSET])
    # an export must not install packages behind the operator's back
    environment = {**child_environment(), "YOLO_AUTOINSTALL": "false", "YOLO_VERBOSE": "false"}
    try:
        done = subprocess.run(
            [python, "-c", _EXPORT, arguments],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_EXPORT_SECONDS,
            env=environment,
            cwd=checkpoint.parent,
            check=False,
        )
    except OSError as error:
        raise ModelError(f"--python {python}: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise ModelError(f"the export of {checkpoint.name} took over {_EXPORT_SECONDS} s") from error
    if done.returncode == _NO_ULTRALYTICS:
        raise MissingExtra(
            f"exporting a checkpoint needs ultralytics ({printable(done.stderr.strip(), 200)} in {python}): "
            f"{how_to_add('export')}, or name a Python that has it with --python"
        )
    marks = [line for line in done.stdout.splitlines() if line.startswith("EXPORTED ")]
    if done.returncode or not marks:
        reason = printable((done.stderr.strip() or done.stdout.strip() or "no output").splitlines()[-1], 300)
        raise ModelError(f"ultralytics could not export {checkpoint.name}: {reason}")
    try:
        exported = parse_object(marks[-1].removeprefix("EXPORTED "))
        path, version = take_text(exported, "path"), take_text(exported, "ultralytics", longest=64)
    except BadInput as error:
        raise ModelError(f"ultralytics could not export {checkpoint.name}: {error}") from None
    return Path(checkpoint.parent, path), printable(version)


def _match_size(model: Any, plan: PreparePlan, path: Path) -> None:
    """Give the model the size that was asked for, as far as its graph allows."""
    from agent.modeltools import embed

    dims = model.graph.input[0].type.tensor_type.shape.dim
    fixed = tuple(dim.dim_value for dim in dims)[-2:] if len(dims) == 4 else (0, 0)
    if all(fixed):
        if plan.dynamic:
            raise ModelError(f"model {path} has a fixed size {fixed}: export it again with --dynamic")
        if plan.image_size not in (None, fixed):
            raise ModelError(f"model {path} has a fixed size {fixed}: export it again with --imgsz")
        return
    size = plan.image_size or _metadata(model, path).image_size or (640, 640)
    if plan.dynamic is False:
        embed.fix_size(model, size)
    embed.set_metadata(model, "imgsz", str(list(size)))


def _metadata(model: Any, path: Path) -> Metadata:
    return parse({entry.key: entry.value for entry in model.metadata_props}, path)


def _info(path: Path, provider: str = "cpu") -> ModelInfo:
    detector = Detector(ModelSettings(path=str(path), provider=provider))
    detector.open()
    detector.close()
    return detector.info


def _save(model: Any, path: Path) -> None:
    path.write_bytes(model.SerializeToString())
