"""`vedette model evaluate`: how good a model is on labelled images, and whether another one is better."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from agent.maintenance.evaluation.evaluate import Evaluation
    from agent.maintenance.evaluation.labels import LabelledSet
    from agent.maintenance.evaluation.scores import ClassScores

_EPILOG = """\
examples:
  vedette model evaluate new.onnx --data site/data.yaml
  vedette model evaluate new.onnx --data site/data.yaml --against now.onnx
  vedette model evaluate new.onnx --data site/images/val --json > new.json

The figures are those of Ultralytics' `val` (within 0.002 for models of one size): precision, recall and F1 at the
confidence with the best F1, mAP50 and mAP50-95; in addition the figures at the agent's --confidence. Labels are matched
by class name. With --against both models get the same images, and a bootstrap over images shows whether the difference
is more than chance. Each folder below the folder of all images is a camera with its own row.
"""
_MOST_LEFT_OUT = 5


def add_arguments(commands: Any) -> None:
    """Declare `evaluate` among the commands of `vedette model`."""
    parser = commands.add_parser(
        "evaluate",
        help="measure precision, recall, F1 and mAP on labelled images, and compare with another model",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("source", type=Path, help="an ONNX file")
    parser.add_argument(
        "--data", type=Path, required=True, help="a data.yaml, or a folder of labelled images"
    )
    parser.add_argument("--split", default="val", help="split of the data.yaml: val (default), test or train")
    parser.add_argument("--against", type=Path, metavar="OTHER", help="the ONNX file to compare with")
    parser.add_argument(
        "--confidence", type=float, default=0.25, help="confidence of the agent (default 0.25)"
    )
    parser.add_argument("--most", type=int, default=5000, help="use at most this many images (default 5000)")
    parser.add_argument(
        "--provider",
        default="cpu",
        choices=("cpu", "cuda", "tensorrt", "openvino", "auto"),
        help="execution provider (default cpu)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")


def run(args: argparse.Namespace) -> int:
    """Evaluate one model, or two side by side."""
    import json

    report = report_of(args)
    if args.json:
        print(json.dumps(report, indent=2))
    else:
        print_report(report)
    return 0


def report_of(args: argparse.Namespace) -> dict[str, Any]:
    """What `--json` prints: the figures of one model, or of two and their difference. Raises VedetteError."""
    from agent.config.schema import ModelSettings
    from agent.core.dataset import class_names
    from agent.core.errors import ConfigError
    from agent.detection.session import Detector
    from agent.maintenance.evaluation.evaluate import evaluate
    from agent.maintenance.evaluation.labels import read_set

    if not 0 <= args.confidence <= 1:
        raise ConfigError(f"--confidence {args.confidence}", file="command line", expected="0 to 1")
    models = [
        ModelSettings(path=str(path), provider=args.provider)
        for path in (args.source, args.against)
        if path is not None
    ]
    names = class_names(args.data)
    if not names:
        detector = Detector(models[0])
        detector.open()
        detector.close()
        names = detector.info.classes
    data = read_set(args.data, args.split, names, most=args.most)
    if not data.boxes:
        raise ConfigError(
            f"no object is labelled on its {len(data.images)} images, of which recall and mAP would be shares",
            file=str(args.data),
            key=args.split,
            expected="labels with objects in some images",
        )
    done = [evaluate(model, data, progress=_bar(Path(model.path).name)) for model in models]
    return _report(data, done, args)


def _bar(name: str) -> Any:
    from agent.core.terminal import bar

    return partial(bar, name=name)


# -- what is reported ---------------------------------------------------------------------------------------


def _report(data: LabelledSet, done: Sequence[Evaluation], args: argparse.Namespace) -> dict[str, Any]:
    from agent.maintenance.evaluation.bootstrap import FEWEST_IMAGES, draw, interval
    from agent.maintenance.evaluation.comparison import DRAWS

    images = len(done[0].groups)
    models = [_of_model(data, one, args.confidence) for one in done]
    report: dict[str, Any] = {
        "data": str(args.data),
        "split": args.split,
        "images": images,
        "boxes": len(done[0].outcome.label_classes),
        "left_out": [[str(path), reason] for path, reason in (*data.left_out, *done[0].left_out)],
        "models": models,
    }
    if images >= FEWEST_IMAGES:
        draws = draw([one.outcome for one in done], images, draws=DRAWS, progress=_bar("how sure"))
        for model, drawn in zip(models, draws, strict=True):
            for name in ("map50", "map50_95"):
                sure = interval(getattr(drawn, name))
                model["all"] |= {f"{name}_low": round(sure.low, 4), f"{name}_high": round(sure.high, 4)}
        if len(draws) == 2:
            report["difference"] = {
                name: _difference(models, name, interval(getattr(draws[0], name) - getattr(draws[1], name)))
                for name in ("map50", "map50_95")
            }
    return report


def _difference(models: Sequence[dict[str, Any]], name: str, sure: Any) -> dict[str, float]:
    value = models[0]["all"][name] - models[1]["all"][name]
    return {"value": round(value, 4), "low": round(sure.low, 4), "high": round(sure.high, 4)}


def _of_model(data: LabelledSet, done: Evaluation, confidence: float) -> dict[str, Any]:
    import numpy as np

    from agent.maintenance.evaluation.evaluate import of_group
    from agent.maintenance.evaluation.scores import at_confidence, never_found, score

    scores = score(done.outcome)
    groups = sorted(set(done.groups)) if len(set(done.groups)) > 1 else []
    p50, p99 = np.percentile(done.seconds, (50, 99))
    return {
        "model": done.info.path,
        "sha256": done.info.sha256,
        "layout": done.info.layout,
        "all": _figures(scores) | {"best_confidence": round(scores.confidence, 3)},
        "at_confidence": {"confidence": confidence}
        | {name: round(value, 4) for name, value in at_confidence(done.outcome, confidence).items()},
        "classes": {
            data.names[class_id]: {
                "boxes": int(scores.labels[row]),
                "precision": round(float(scores.precision[row]), 4),
                "recall": round(float(scores.recall[row]), 4),
                "f1": round(float(scores.f1[row]), 4),
                "map50": round(float(scores.ap50[row]), 4),
                "map50_95": round(float(scores.ap[row]), 4),
            }
            for row, class_id in enumerate(scores.classes.tolist())
        },
        "sizes": {size: _figures(score(outcome)) for size, outcome in done.sizes.items()},
        "cameras": {group: _figures(score(of_group(done.outcome, done.groups, group))) for group in groups},
        "never_found": [
            data.names[number]
            for number in never_found(done.outcome, confidence)
            if data.names[number] not in done.unknown
        ],
        "unknown_classes": [
            name for name in done.unknown if data.names.index(name) in scores.classes.tolist()
        ],
        "inference_seconds_p50": round(float(p50), 5),
        "inference_seconds_p99": round(float(p99), 5),
        "provider": done.info.provider,
        "threads": done.info.threads,
        "memory_bytes": done.memory,
    }


def _figures(scores: ClassScores) -> dict[str, Any]:
    mean = scores.mean()
    return {"boxes": int(scores.labels.sum())} | {name: round(value, 4) for name, value in mean.items()}


# -- what is printed ----------------------------------------------------------------------------------------


def print_report(report: dict[str, Any]) -> None:
    """Print the figures as tables, and whether the one model is better."""
    from agent.core.counts import count
    from agent.core.terminal import console

    screen = console()
    screen.print(
        f"{report['data']}, {report['split']}: {count(report['images'], 'image')}, "
        f"{count(report['boxes'], 'labelled box', 'labelled boxes')}"
    )
    for path, reason in report["left_out"][:_MOST_LEFT_OUT]:
        screen.print(f"left out: {path}: {reason}")
    if len(report["left_out"]) > _MOST_LEFT_OUT:
        screen.print(f"left out: {len(report['left_out']) - _MOST_LEFT_OUT} more")
    screen.print()
    screen.print(_table(report["models"]))
    for model in report["models"]:
        screen.print()
        screen.print(_running(model))
        if missed := model["never_found"]:
            screen.print(f"at that confidence it finds none of: {', '.join(missed)}")
        if unknown := model["unknown_classes"]:
            screen.print(f"it does not have the classes {', '.join(unknown)}: all their boxes are missed")
    if len(report["models"]) == 2:
        screen.print()
        screen.print(_verdict(report))


def _running(model: dict[str, Any]) -> str:
    agent = model["at_confidence"]
    return (
        f"{Path(model['model']).name} as the agent runs it, at confidence {agent['confidence']:g}: precision "
        f"{agent['precision']:.3f}, recall {agent['recall']:.3f}, F1 {agent['f1']:.3f} (best F1 at "
        f"{model['all']['best_confidence']:g}); {model['inference_seconds_p50'] * 1e3:.1f} ms an image (p99 "
        f"{model['inference_seconds_p99'] * 1e3:.1f} ms) on {model['provider']}, {model['memory_bytes'] / 1e6:.0f} MB"
    )


def _table(models: Sequence[dict[str, Any]]) -> Table:
    """A row for all, each class, size and camera; of two models the figures that matter, side by side."""
    from rich.table import Table

    titles = {
        "precision": "precision",
        "recall": "recall",
        "f1": "F1",
        "map50": "mAP50",
        "map50_95": "mAP50-95",
    }
    shown = [key for key in titles if len(models) == 1 or key in ("f1", "map50", "map50_95")]
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    table.add_column("boxes", justify="right")
    for key in shown:
        for model in models:
            name = f"\n{Path(model['model']).stem[:12]}" if len(models) > 1 else ""
            table.add_column(f"{titles[key]}{name}", justify="right")
    rows = [_rows(model) for model in models]
    for name, row in rows[0].items():
        cells = [f"{one[name][key]:.3f}" for key in shown for one in rows]
        table.add_row(name, f"{row['boxes']:,}", *cells)
    return table


def _rows(model: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        "all": model["all"],
        **{f"class {name}": row for name, row in model["classes"].items()},
        **{f"size {name}": row for name, row in model["sizes"].items() if row["boxes"]},
        **{f"camera {name or '.'}": row for name, row in model["cameras"].items()},
    }


def _verdict(report: dict[str, Any]) -> str:
    from agent.maintenance.evaluation.bootstrap import Interval
    from agent.maintenance.evaluation.comparison import statement

    first, second = (Path(model["model"]).name for model in report["models"])
    if "difference" not in report:
        return "too few images to decide whether one is better: label at least 20"
    difference = report["difference"]["map50_95"]
    sure = Interval(low=difference["low"], high=difference["high"])
    return statement(first, second, difference["value"], sure)
