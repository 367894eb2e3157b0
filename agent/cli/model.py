"""`vedette model`: prepares a model for the agent, describes, evaluates and trains models, deploys one."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
from pathlib import Path

from agent.cli import calibration, deploy, evaluate, golden, model_card, signing, train
from agent.core import clock


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    what = parser.add_subparsers(dest="what", required=True, metavar="WHAT")
    prepare = what.add_parser(
        "prepare", help="make an ONNX file with an embedding output, checked, with a manifest"
    )
    prepare.add_argument("source", type=Path, help="an Ultralytics checkpoint (.pt) or an ONNX file")
    prepare.add_argument(
        "--out", type=Path, help="folder for NAME.onnx and NAME.json (default: the source's)"
    )
    prepare.add_argument(
        "--imgsz", type=int, nargs="+", metavar="N", help="input size: one side, or height width"
    )
    prepare.add_argument(
        "--half",
        action=argparse.BooleanOptionalAction,
        help="half precision, float16 (default: with --for gpu)",
    )
    prepare.add_argument(
        "--input",
        choices=("uint8", "float"),
        help="uint8: the model takes frames as cameras deliver them and normalises them in the graph "
        "(default: with --for gpu)",
    )
    prepare.add_argument(
        "--for",
        dest="device",
        choices=("cpu", "gpu"),
        help="target; for a CPU, slow parts of the graph are rewritten; for a GPU, the model is in half "
        "precision, takes uint8, and returns its best 1,000 candidates (default: the hardware of "
        "this machine)",
    )
    prepare.add_argument(
        "--letterbox",
        choices=("cpu", "graph"),
        default="cpu",
        help="graph, with --for gpu: the model takes whole frames and resizes them in its graph (default "
        "%(default)s)",
    )
    prepare.add_argument(
        "--frame-size",
        type=int,
        nargs=2,
        metavar=("HEIGHT", "WIDTH"),
        help="with --letterbox graph: a fixed frame size, which CUDA graphs need (default: any size)",
    )
    size = prepare.add_mutually_exclusive_group()
    size.add_argument(
        "--dynamic", dest="dynamic", action="store_true", default=None, help="any batch and size"
    )
    size.add_argument("--static", dest="dynamic", action="store_false", help="one image of one size")
    prepare.add_argument("--images", type=Path, help="folder of images to check on (default: drawn ones)")
    prepare.add_argument("--python", default=sys.executable, help="a Python that has ultralytics, for .pt")
    calibration.add_arguments(prepare)
    prepare.add_argument("--force", action="store_true", help="replace NAME.onnx and NAME.json if they exist")
    inspect = what.add_parser("inspect", help="describe a model and its manifest")
    inspect.add_argument("source", type=Path, help="an ONNX file")
    inspect.add_argument("--json", action="store_true", help="print JSON instead of a table")
    evaluate.add_arguments(what)
    train.add_arguments(what)
    model_card.add_arguments(what)
    golden.add_arguments(what)
    deploy.add_arguments(what)
    signing.add_arguments(what)


def run(args: argparse.Namespace) -> int:
    """Do what `args.what` names."""
    from agent.core import memory as heap
    from agent.logging import setup as log

    log.set_up("warning")  # what was found is printed; that models were loaded on the way is no news
    with heap.bounded():
        return _RUNS[args.what](args)


def _prepare(args: argparse.Namespace) -> int:
    from agent.detection import manifest
    from agent.modeltools.compare import read_pictures
    from agent.modeltools.prepare import PreparePlan, prepare

    for_gpu = args.device == "gpu"  # asked for, not only found
    plan = PreparePlan(
        source=args.source,
        out=args.out or args.source.parent,
        image_size=_size(args.imgsz),
        half=for_gpu if args.half is None else args.half,
        uint8=(args.input or ("uint8" if for_gpu else "float")) == "uint8",
        dynamic=args.dynamic,
        device=args.device or _own_device(),
        letterbox=_letterbox(args),
        frame_size=tuple(args.frame_size) if args.frame_size else None,
        python=args.python,
        force=args.force,
        int8=calibration.wish(args),
    )
    pictures = read_pictures(args.images) if args.images else []
    target, record = prepare(plan, pictures, now=clock.wall())
    checks = record.checks
    print(f"{target}: {len(record.classes)} classes, embedding of {record.embedding_size}")
    if record.quickened:
        print(f"rewritten to run faster on a CPU: {record.quickened} places")
    if record.int8:
        print(calibration.summary(record.int8))
        print(manifest.path_of(target))
        return 0
    if args.letterbox == "graph":
        print(
            f"frames are letterboxed in the graph: F1 {checks['f1']:.3f} by letterboxing on the CPU over "
            f"{checks['boxes']} objects on {checks['pictures']} images, IoU at least {checks['least_iou']}, "
            f"scores within {checks['largest_score_difference']}"
        )
        print(manifest.path_of(target))
        return 0
    print(
        f"checked on {checks['pictures']} images: {checks['boxes']} candidates found again "
        f"({checks['sure']} over 0.25), IoU at least {checks['least_iou']}, "
        f"scores within {checks['largest_score_difference']}"
    )
    if not checks["sure"]:
        print("no image had a confident box: give real images with --images for a stronger check")
    print(manifest.path_of(target))
    return 0


def _letterbox(args: argparse.Namespace) -> str:
    """Where frames are to be resized. Raises ModelError where that cannot be."""
    from agent.core.errors import ModelError
    from agent.detection.metadata import LARGEST_SIDE

    if args.letterbox == "graph" and args.device != "gpu":
        raise ModelError("--letterbox graph is for a GPU and slower on a CPU: give --for gpu")
    if args.frame_size and args.letterbox != "graph":
        raise ModelError("--frame-size is for --letterbox graph: give both, or neither")
    if args.frame_size and not 16 <= min(args.frame_size) <= max(args.frame_size) <= LARGEST_SIDE:
        raise ModelError(f"--frame-size: expected two sides from 16 to {LARGEST_SIDE} pixels")
    return str(args.letterbox)


def _own_device() -> str:
    from agent.detection.providers import Machine, identify

    return "cpu" if identify() is Machine.PLAIN else "gpu"


def _size(sides: list[int] | None) -> tuple[int, int] | None:
    from agent.core.errors import ModelError
    from agent.detection.metadata import LARGEST_SIDE

    if sides is None:
        return None
    if (
        len(sides) > 2
        or not 32 <= min(sides) <= max(sides) <= LARGEST_SIDE
        or any(side % 32 for side in sides)
    ):
        raise ModelError(f"--imgsz: expected one or two multiples of 32, at most {LARGEST_SIDE}")
    return sides[0], sides[-1]


def _inspect(args: argparse.Namespace) -> int:
    from agent.config.schema import ModelSettings
    from agent.detection import manifest
    from agent.detection.session import Detector

    detector = Detector(ModelSettings(path=str(args.source), provider="cpu"))
    detector.open()
    detector.close()
    info = dataclasses.asdict(detector.info)
    beside = manifest.path_of(args.source)
    record = dataclasses.asdict(manifest.read(beside)) if os.path.lexists(beside) else None
    agrees = record is None or record["sha256"] == info["sha256"]
    if args.json:
        print(json.dumps({"model": info, "manifest": record, "manifest_matches": agrees}, indent=2))
    else:
        _table(info, record)
        if not agrees:
            print(f"{beside} belongs to another file: its sha256 differs")
    return 0 if agrees else 1


def _table(info: dict[str, object], record: dict[str, object] | None) -> None:
    from rich.table import Table

    from agent.core.terminal import console

    table = Table(show_header=False, box=None)
    for key, value in {**info, **{f"manifest {key}": value for key, value in (record or {}).items()}}.items():
        table.add_row(key.replace("_", " "), _text(value))
    console().print(table)


def _text(value: object) -> str:
    if isinstance(value, tuple) and value and isinstance(value[0], str):
        more = f", and {len(value) - 8} more" if len(value) > 8 else ""
        return f"{len(value)}: {', '.join(value[:8])}{more}"
    if isinstance(value, tuple):
        return "x".join(str(side) for side in value)
    if isinstance(value, dict):
        return ", ".join(f"{key} {item}" for key, item in value.items())
    return str(value)


_RUNS = {
    "prepare": _prepare,
    "inspect": _inspect,
    "evaluate": evaluate.run,
    "train": train.run,
    "card": model_card.run,
    "golden": golden.run,
    "deploy": deploy.run,
    "rollback": deploy.run,
    "history": deploy.run,
    "keygen": signing.run,
    "sign": signing.run,
}
