"""`vedette model train`: a better model from labelled images, by Ultralytics, and the proof that it is better."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.maintenance.evaluation.labels import LabelledSet
    from agent.maintenance.training.train import Cost, Epoch
    from agent.maintenance.training.training_set import TrainingSet

_MOST = 100_000
_EPILOG = """\
examples:
  vedette model train now.pt --data set/data.yaml --old first/data.yaml --out better
  vedette model train now.pt --data set/data.yaml --test held-out/data.yaml --out better --python ~/ultra/bin/python
  vedette model train yolo11n.pt --data all/data.yaml --full --epochs 100 --out better

Without --full the weights change in small steps, and --old mixes in as many images of an earlier set as there are new
ones, because a model trained only on new images forgets the old ones. --full uses Ultralytics' own learning rates, for
a first checkpoint and a complete data set. The cost is estimated from the first batches, and the command asks before it
continues. Then the model is exported, prepared and compared with its source on images that were not trained on: the
`test` split of --data (`vedette samples export` puts the audit there), or --test.

Needs ultralytics in the interpreter given by --python; the checkpoint is opened only there.
"""


def add_arguments(commands: Any) -> None:
    """Declare `train` among the commands of `vedette model`."""
    parser = commands.add_parser(
        "train",
        help="train with Ultralytics, and compare the result with the source model",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("source", type=Path, help="the checkpoint (.pt) to start from")
    parser.add_argument("--data", type=Path, required=True, help="the data.yaml with train and val images")
    parser.add_argument("--old", type=Path, help="a data.yaml whose train images are mixed in")
    parser.add_argument("--test", type=Path, help="the data.yaml to evaluate on (default: that of --data)")
    parser.add_argument("--split", default="test", help="split of it: test (default), val or train")
    parser.add_argument(
        "--against", type=Path, metavar="OTHER", help="the ONNX file to compare with (default: the source)"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="a new or empty folder")
    parser.add_argument("--full", action="store_true", help="use the learning rates of a first training")
    parser.add_argument("--epochs", type=int, default=30, help="number of epochs (default 30)")
    parser.add_argument("--imgsz", type=int, default=640, help="side of the input in pixels (default 640)")
    parser.add_argument("--batch", type=int, default=16, help="images a step (default 16)")
    parser.add_argument("--seed", type=int, default=0, help="seed of all random numbers (default 0)")
    parser.add_argument("--device", default="cpu", help="cpu (default), or the number of a GPU")
    parser.add_argument("--python", default=sys.executable, help="a Python that has ultralytics")
    parser.add_argument("--yes", action="store_true", help="do not ask for confirmation before the training")


def run(args: argparse.Namespace) -> int:
    """Train, export, prepare, evaluate; the deploy command where the model is not shown to be worse."""
    from agent.cli.output import new_folder
    from agent.maintenance.training.train import Plan, train

    _check(args)
    new_folder(args.out)
    work = args.out.resolve() / "training"
    work.mkdir()
    trained_on = _write_set(args, work)
    _print_set(args, trained_on)
    plan = Plan(
        checkpoint=args.source,
        data=trained_on.data,
        work=work,
        python=args.python,
        epochs=args.epochs,
        image_size=args.imgsz,
        batch=args.batch,
        seed=args.seed,
        device=args.device,
        full=args.full,
    )
    best = train(plan, lambda cost: _agree(cost, yes=args.yes), _show)
    if best is None:
        print("nothing was trained")
        return 0
    return _finish(args, best)


def _check(args: argparse.Namespace) -> None:
    """Refuse what would fail after hours."""
    import importlib.util

    from agent.core.errors import ConfigError, MissingExtra, ModelError
    from agent.core.installation import how_to_add
    from agent.detection import onnx_file

    onnx_file.plain_file(args.source)
    if args.source.suffix.lower() != ".pt":
        raise ModelError(f"model {args.source}: expected a .pt checkpoint, which can be trained")
    if importlib.util.find_spec("onnx") is None:
        raise MissingExtra(f"the trained model is prepared by the library 'onnx': {how_to_add('export')}")
    for name, least in (("epochs", 1), ("batch", 1), ("imgsz", 32), ("seed", 0)):
        if getattr(args, name) < least:
            raise ConfigError(
                f"--{name} {getattr(args, name)}", file="command line", expected=f"{least} or more"
            )
    if args.imgsz % 32:
        raise ConfigError(f"--imgsz {args.imgsz}", file="command line", expected="a multiple of 32")


def _write_set(args: argparse.Namespace, work: Path) -> TrainingSet:
    from agent.maintenance.training.train import class_names
    from agent.maintenance.training.training_set import check_separate, write_set

    new, checked = _read(args.data, "train"), _read(args.data, "val")
    old = _read(args.old, "train") if args.old else None
    test = _read(args.test or args.data, args.split)
    check_separate(test.images, (*new.images, *checked.images, *(old.images if old else ())))
    return write_set(work, class_names(args.source, work, args.python), new, checked, old)


def _read(data: Path, split: str) -> LabelledSet:
    from agent.core.dataset import class_names
    from agent.core.errors import ConfigError
    from agent.maintenance.evaluation.labels import read_set

    names = class_names(data)
    if not names:
        raise ConfigError("names no classes", file=str(data), key="names", expected="a data.yaml with them")
    return read_set(data, split, names, most=_MOST)


def _print_set(args: argparse.Namespace, data: TrainingSet) -> None:
    from agent.core.counts import count

    mixed = f" and {data.old} old ones" if data.old else ""
    print(
        f"trained on {count(data.new, 'new image')}{mixed}, the best epoch chosen by {data.checked}; seed {args.seed}"
    )
    if data.fresh:
        print(
            f"classes that the model does not have: {', '.join(data.fresh)}. They are learnt from zero, and need "
            "some hundred boxes each; Ultralytics 8.4 keeps what the model knows (older versions begin all again)"
        )
    if not (data.old or args.full):
        print("no old images are mixed in (--old): the model may forget what these do not show")


def _agree(cost: Cost, *, yes: bool) -> bool:
    from agent.alerts.words import quantity
    from agent.cli.devices import confirmed

    print(
        f"about {quantity(cost.seconds, 'seconds')}: {cost.epochs} epochs of {cost.images} images, "
        f"{quantity(cost.image_seconds, 'seconds')} an image by the first batches; "
        f"{quantity(cost.memory_bytes, 'bytes')} of memory"
    )
    return yes or confirmed("train?")


def _show(epochs: Iterator[Epoch]) -> None:
    from agent.core.terminal import bar

    first = next(epochs, None)
    if first is None:
        return
    best = first.map50_95

    def all_of_them() -> Iterator[Epoch]:
        yield first
        yield from epochs

    for epoch in bar(all_of_them(), first.epochs, name="epochs"):
        best = max(best, epoch.map50_95)
    print(f"trained; the best epoch has a mAP50-95 of {best:.3f} on its own val images")


def _finish(args: argparse.Namespace, best: Path) -> int:
    import shutil

    from agent.cli.evaluate import print_report

    checkpoint = args.out / f"{args.source.stem}-trained.pt"
    shutil.copyfile(best, checkpoint)
    new = _prepared(args, checkpoint, args.out)
    against = args.against or _prepared(args, args.source, args.out / "training" / "before")
    report = _evaluated(args, new, against)
    print_report(report)
    print()
    if missed := report["models"][0]["never_found"]:
        print(_longer(args, missed))
    difference = report.get("difference", {}).get("map50_95")
    if difference is not None and difference["high"] < 0:
        print(f"it is worse: {new} is not worth deploying")
        return 1
    print(f"vedette model deploy {new}")
    return 0


def _longer(args: argparse.Namespace, missed: list[str]) -> str:
    return (
        f"not ready: at the agent's confidence it finds none of {', '.join(missed)}, after {args.epochs} epochs; train "
        f"longer (--epochs {3 * args.epochs}), or label more boxes of it: a class that is new takes some hundred"
    )


def _prepared(args: argparse.Namespace, checkpoint: Path, out: Path) -> Path:
    from agent.core import clock
    from agent.modeltools.prepare import PreparePlan, prepare

    size = (args.imgsz, args.imgsz)
    plan = PreparePlan(source=checkpoint, out=out, image_size=size, python=args.python)
    target, _ = prepare(plan, [], now=clock.wall())
    return target


def _evaluated(args: argparse.Namespace, new: Path, against: Path) -> dict[str, Any]:
    from agent.cli.evaluate import report_of

    return report_of(
        argparse.Namespace(
            source=new,
            against=against,
            data=args.test or args.data,
            split=args.split,
            confidence=0.25,
            most=5000,
            provider="cpu",
        )
    )
