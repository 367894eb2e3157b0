"""`vedette samples`: the frames that the agent kept to be labelled, and what their labels show."""

from __future__ import annotations

import argparse
import json
import math
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.cli.local import accept_after_action, add_state_arguments
from agent.cli.times import length
from agent.core.errors import VedetteError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from agent.maintenance.samples.accuracy import Accuracy
    from agent.maintenance.samples.labels import LabelledBoxes
    from agent.maintenance.samples.store import SampleStore, StoredSample

_PNG = b"\x89PNG"
_TILE = (320, 180)
_COLUMNS = 4
_FORMATS = ("yolo", "coco", "label-studio", "cvat")
_EPILOG = """\
examples:
  vedette samples list                                    how many there are, by camera and reason
  vedette samples show --camera front --out front.png     the newest ones on one sheet
  vedette samples export --out set                        an Ultralytics data set, pre-labelled by the model
  vedette samples import-labels set                       import the corrected labels
  vedette samples accuracy                                precision and recall on samples drawn at random
  vedette samples purge --before 7d                       delete old ones

Samples are kept only with `[samples] enabled = true` in the config: docs/samples.md.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    add_state_arguments(parser)
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="list how many there are, by camera and reason")
    listing.add_argument("--json", action="store_true", help="print each sample as JSON")
    show = actions.add_parser("show", help="draw the newest samples on one sheet, with their boxes")
    show.add_argument("--out", required=True, type=Path, metavar="FILE", help="the PNG to write")
    show.add_argument("--last", type=int, default=24, metavar="N", help="how many (default 24)")
    show.add_argument("--force", action="store_true", help="replace FILE, whatever it is")
    export = actions.add_parser("export", help="write samples for labelling or training")
    export.add_argument("--out", required=True, type=Path, metavar="DIR", help="a new or empty folder")
    export.add_argument("--format", choices=_FORMATS, default="yolo", help="format (default yolo)")
    export.add_argument("--labelled", action="store_true", help="only labelled samples")
    for action in (show, export):
        action.add_argument(
            "--key", type=Path, metavar="FILE", help="the private key (PEM) for encrypted samples"
        )
    labels = actions.add_parser("import-labels", help="import labels, matched by the names of the images")
    labels.add_argument(
        "source",
        type=Path,
        help="a folder or .zip as a labelling tool exports it (YOLO, COCO), or a .json of COCO or Label Studio",
    )
    accuracy = actions.add_parser(
        "accuracy",
        help="measure precision, recall and F1 in use, on labelled samples that were drawn at random",
    )
    accuracy.add_argument("--json", action="store_true", help="print JSON instead of a table")
    purge = actions.add_parser("purge", help="delete samples")
    purge.add_argument("--all", action="store_true", help="all samples that the other options select")
    purge.add_argument("--labelled", action="store_true", help="also labelled samples")
    for action in (listing, show, export, purge, accuracy):
        action.add_argument("--camera", default="", help="only of this camera")
    for action in (listing, show, export, purge):
        action.add_argument("--reason", default="", help="only samples kept for this reason")
    for action in (listing, show, export):
        action.add_argument(
            "--since", default="", metavar="AGE", help="only samples newer than this, such as 7d"
        )
    purge.add_argument("--before", default="", metavar="AGE", help="only samples older than this, such as 7d")
    accept_after_action(actions)


def run(args: argparse.Namespace) -> int:
    """Do what is asked for."""
    from agent.cli.local import state_directory
    from agent.core.state_dir import as_owner
    from agent.logging import setup as log
    from agent.maintenance.samples.store import SampleStore

    log.set_up("warning")
    actions = {
        "list": _list,
        "show": _show,
        "export": _export,
        "import-labels": _import,
        "accuracy": _accuracy,
        "purge": _purge,
    }
    state = state_directory(args)
    if args.action in {"show", "export", "import-labels"}:  # they read or write files of the caller
        return actions[args.action](args, SampleStore(state))
    with as_owner(state):
        return actions[args.action](args, SampleStore(state))


def _chosen(args: argparse.Namespace, store: SampleStore) -> list[StoredSample]:
    """The samples that the options leave, oldest first; raises VedetteError where there is none."""
    from agent.core import clock
    from agent.maintenance.samples.reasons import REASONS
    from agent.maintenance.samples.sample import AUDIT

    reason = getattr(args, "reason", "")
    if reason and reason not in {*REASONS, AUDIT}:
        raise VedetteError(f"--reason {reason}: expected one of {', '.join([AUDIT, *REASONS])}")
    now = clock.wall()
    ages = {name: getattr(args, name, "") for name in ("since", "before")}
    limits = {name: now - length(age, f"--{name}") for name, age in ages.items() if age}
    found = [
        one
        for one in store.samples()
        if args.camera in ("", one.sample.camera)
        and reason in ("", one.sample.reason)
        and one.sample.captured_at >= limits.get("since", 0.0)
        and one.sample.captured_at <= limits.get("before", now + 1e9)
    ]
    if not found:
        raise VedetteError(
            f"there are no such samples in {store.folder}; none are kept unless the config has [samples] enabled = true"
        )
    return sorted(found, key=lambda one: one.sample.captured_at)


# -- what there is ------------------------------------------------------------------------------------------


def _list(args: argparse.Namespace, store: SampleStore) -> int:
    from agent.alerts.words import stamp
    from agent.core.terminal import console
    from agent.maintenance.samples.sample import to_json

    found = _chosen(args, store)
    if args.json:
        print(json.dumps([to_json(one.sample) for one in found], indent=1))
        return 0
    from rich.table import Table

    table = Table("camera", "reason", "samples", "labelled", "MB", "oldest", "newest", box=None)
    for camera, reason in sorted({(one.sample.camera, one.sample.reason) for one in found}):
        of = [one for one in found if (one.sample.camera, one.sample.reason) == (camera, reason)]
        table.add_row(
            camera,
            reason,
            str(len(of)),
            str(sum(one.sample.labels is not None for one in of)),
            f"{sum(one.size for one in of) / 1e6:.1f}",
            stamp(of[0].sample.captured_at),
            stamp(of[-1].sample.captured_at),
        )
    console().print(table)
    return 0


def _show(args: argparse.Namespace, store: SampleStore) -> int:
    import cv2

    from agent.cli.output import write_output

    found = _chosen(args, store)[-max(1, min(args.last, 400)) :]
    classes = store.classes()
    with _readable(args, found) as readable:
        sheet = _sheet([_tile(one, classes) for one in readable])
    write_output(args.out, cv2.imencode(".png", sheet)[1].tobytes(), begins=_PNG, force=args.force)
    print(f"{args.out}: {len(found)} samples, oldest first; green: found by the model, yellow: labelled")
    return 0


@contextmanager
def _readable(args: argparse.Namespace, found: list[StoredSample]) -> Iterator[list[StoredSample]]:
    """The samples with images that can be read; VedetteError where some are encrypted and no key opens them."""
    from agent.maintenance.samples.sealing import opened, read_private_key

    sealed = sum(one.sealed for one in found)
    if not sealed:
        yield found
        return
    if args.key is None:
        raise VedetteError(
            f"{sealed} of {len(found)} samples are encrypted: give their private key with --key"
        )
    key = read_private_key(args.key)
    with tempfile.TemporaryDirectory(prefix="vedette-samples-") as folder:
        yield [opened(one, key, Path(folder)) if one.sealed else one for one in found]


def _tile(kept: StoredSample, classes: Any) -> NDArray[np.uint8]:
    import cv2
    import numpy as np

    from agent.core.image_file import decode_image
    from agent.maintenance.samples.formats.labelled import boxes_of, class_name

    wide, tall = _TILE
    tile = np.full((tall + 16, wide, 3), 40, np.uint8)
    image = decode_image(kept.image.read_bytes())
    scale = min(wide / image.shape[1], tall / image.shape[0])
    size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    tile[: size[1], : size[0]] = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    colour = (60, 220, 60) if kept.sample.labels is None else (40, 220, 255)
    for box in boxes_of(kept.sample):
        left, right = (round((box.x + side * box.width / 2) * size[0]) for side in (-1, 1))
        top, bottom = (round((box.y + side * box.height / 2) * size[1]) for side in (-1, 1))
        cv2.rectangle(tile, (left, top), (right, bottom), colour, 1)
        name = class_name(kept.sample.model, box.class_id, classes)
        _write(tile, f"{name} {box.score:.2f}", (left, max(10, top - 3)), colour)
    _write(tile, kept.sample.id, (2, tall + 12), (255, 255, 255))
    return tile


def _write(image: NDArray[np.uint8], text: str, at: tuple[int, int], colour: tuple[int, int, int]) -> None:
    import cv2

    cv2.putText(image, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.33, colour, 1, cv2.LINE_AA)


def _sheet(tiles: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    import numpy as np

    tiles = tiles + [np.full_like(tiles[0], 40)] * (-len(tiles) % min(_COLUMNS, len(tiles)))
    columns = min(_COLUMNS, len(tiles))
    rows = [np.hstack(tiles[start : start + columns]) for start in range(0, len(tiles), columns)]
    return np.vstack(rows)


# -- to and from labelling ----------------------------------------------------------------------------------


def _export(args: argparse.Namespace, store: SampleStore) -> int:
    from functools import partial

    from agent.cli.output import new_folder
    from agent.core.counts import count
    from agent.core.terminal import bar
    from agent.maintenance.samples.formats import FORMATS
    from agent.maintenance.samples.formats.labelled import export_of

    found = [one for one in _chosen(args, store) if one.sample.labels is not None or not args.labelled]
    if not found:
        raise VedetteError("none of these samples has labels; see `vedette samples import-labels --help`")
    with _readable(args, found) as readable:
        new_folder(args.out)
        progress = partial(bar, name="samples")
        export = export_of(readable, store.classes(), args.out, progress)
        hint = FORMATS[args.format](export)
    labelled = sum(one.kept.sample.labels is not None for one in export.samples)
    others = ", the others as the model sees them" if labelled < len(export.samples) else ""
    print(f"{args.out}: {count(len(export.samples), 'sample')}, {labelled} labelled{others}")
    if beside := len(found) - len(export.samples):
        print(f"  {beside} left out: they were taken within a second of one of the audit")
    print(f"  {hint}")
    return 0


def _import(args: argparse.Namespace, store: SampleStore) -> int:
    from agent.core.state_dir import as_owner
    from agent.maintenance.samples.labels import read_labels

    with as_owner(store.folder.parent):
        there = {one.sample.id: one for one in store.samples()}
    sizes = {id: (one.sample.width, one.sample.height) for id, one in there.items()}
    labels = read_labels(args.source, sizes)
    with as_owner(store.folder.parent):
        return _take_labels(args.source, labels, store, there)


def _take_labels(
    source: Path, labels: LabelledBoxes, store: SampleStore, there: Mapping[str, StoredSample]
) -> int:
    from agent.core.class_names import renamed
    from agent.core.counts import count
    from agent.maintenance.samples.formats.labelled import numbered_names
    from agent.maintenance.samples.label_names import by_sample
    from agent.maintenance.samples.labels import numbered

    classes = store.classes()
    files, labels = len(labels), by_sample(labels, there)
    matching = [there[id] for id in labels]
    if not matching:
        raise VedetteError(
            f"{source} has no labels of samples in {store.folder}: their files are named after the samples"
        )
    added: list[str] = []
    for model in {one.sample.model for one in matching}:
        classes[model] = numbered_names(model, (one.sample for one in there.values()), classes)
    for kept in matching:
        named, model = labels[kept.sample.id], kept.sample.model
        names = classes[model]
        said = tuple(dict.fromkeys(name for name, _ in named))
        written = dict(zip(said, renamed(said, names), strict=True))
        named = tuple((written[name], box) for name, box in named)
        fresh = dict.fromkeys(name for name, _ in named if name not in names)
        if fresh:
            classes[model] = store.add_classes(model, names, fresh)
            added += fresh
        store.label(kept, numbered(named, classes.get(model, ())))
    print(f"{count(len(matching), 'sample')} labelled; {files - len(matching)} files belong to no sample")
    if added:
        print(f"  classes that the model does not have: {', '.join(dict.fromkeys(added))}")
    return 0


def _purge(args: argparse.Namespace, store: SampleStore) -> int:
    from agent.core.counts import count

    if not (args.all or args.camera or args.reason or args.before):
        raise VedetteError("purge: give --camera, --reason or --before, or --all for everything")
    chosen = [one for one in _chosen(args, store) if args.labelled or one.sample.labels is None]
    for one in chosen:
        store.remove(one)
    print(f"{count(len(chosen), 'sample')} deleted ({sum(one.size for one in chosen) / 1e6:.1f} MB)")
    return 0


# -- accuracy -----------------------------------------------------------------------------------------------


def _accuracy(args: argparse.Namespace, store: SampleStore) -> int:
    from agent.maintenance.samples.accuracy import accuracy, counts_of
    from agent.maintenance.samples.formats.labelled import class_name
    from agent.maintenance.samples.sample import AUDIT

    audit = [one.sample for one in _chosen(args, store) if one.sample.reason == AUDIT]
    labelled = [sample for sample in audit if sample.labels is not None]
    if not labelled:
        raise VedetteError(
            f"none of {len(audit)} samples drawn at random has labels: export, label, import-labels"
        )
    newest = labelled[-1].model
    ours = [sample for sample in labelled if sample.model == newest]
    classes = store.classes()
    rows = [("all", "all", accuracy(counts_of(ours)))]
    rows += [
        (camera, "all", accuracy(counts_of([one for one in ours if one.camera == camera])))
        for camera in sorted({sample.camera for sample in ours})
    ]
    numbers = {box.class_id for sample in ours for box in (*sample.found, *(sample.labels or ()))}
    rows += [
        ("all", class_name(newest, number, classes), accuracy(counts_of(ours, number)))
        for number in sorted(numbers)
    ]
    _print_accuracy(args, newest, rows, len(audit), len(labelled) - len(ours))
    return 0


def _print_accuracy(
    args: argparse.Namespace, model: str, rows: list[tuple[str, str, Accuracy]], audit: int, others: int
) -> None:
    import dataclasses

    from agent.core.terminal import console

    if args.json:
        body = [{"camera": camera, "class": name, **dataclasses.asdict(one)} for camera, name, one in rows]
        print(json.dumps({"model_sha256": model, "drawn": audit, "accuracy": _finite(body)}, indent=1))
        return
    from rich.table import Table

    table = Table("camera", "class", "frames", "labels", "precision", "recall", "F1", box=None)
    for camera, name, one in rows:
        figures = ("precision", "recall", "f1")
        cells = [_cell(getattr(one, name), getattr(one, f"{name}_interval")) for name in figures]
        table.add_row(camera, name, str(one.frames), str(one.labels), *cells)
    console().print(table)
    older = f"; {others} of other models are left out" if others else ""
    print(f"model {model[:12]}: {rows[0][2].frames} of {audit} samples drawn at random are labelled{older}")
    if rows[0][2].f1_interval is None:
        print("  with fewer than 20 labelled frames no interval can be given")


def _cell(value: float, spread: Any) -> str:
    if math.isnan(value):
        return "-"
    return f"{value:.2f}" if spread is None else f"{value:.2f} ({spread.low:.2f} to {spread.high:.2f})"


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return None if math.isnan(value) else value
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    return [_finite(one) for one in value] if isinstance(value, list) else value
