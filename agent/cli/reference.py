"""`vedette reference`: record, accept, build, show, compare, move and roll back the references of cameras."""

from __future__ import annotations

import argparse
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.cli import reference_acceptance as acceptance
from agent.cli.local import accept_after_action, add_state_arguments
from agent.core import clock

if TYPE_CHECKING:
    from agent.core.dataset import Images
    from agent.references.offline.images import Built

_BEGINS = b'{"format":"vedette-reference"'  # of a file that may be replaced by another of its kind

_OF_ONE_CAMERA = ("record", "accept", "undo", "history", "list", "show", "export", "rollback", "remove")

_EPILOG = """\
examples:
  vedette reference record --camera front --for 24h    by the running agent, from the live camera
  vedette reference accept --camera front --since 09:14    everything seen since then is normal
  vedette reference undo --camera front                    undo that
  vedette reference history --camera front                 who changed what, and when
  vedette reference build --camera front --data train/ --model yolo11n.onnx
  vedette reference build --camera front --data data.yaml --model yolo11n.onnx --split train
  vedette reference list                               versions, and recordings with their progress
  vedette reference show --camera front --png charts/
  vedette reference diff front front:1f03              two references, by camera or camera:id
  vedette reference rollback --camera front            the previous version; nothing is deleted
  vedette reference export --camera front --out front.json
  vedette reference import front.json --camera back

What a reference is, and how much data it needs: docs/drift.md.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    add_state_arguments(parser)
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    record = actions.add_parser("record", help="make the running agent record one")
    record.add_argument("--camera", default="", help="the camera (optional if there is only one)")
    how = record.add_mutually_exclusive_group(required=True)
    how.add_argument(
        "--for", dest="duration", metavar="TIME", help="how long, such as 24h: a day or more is best"
    )
    how.add_argument("--finish", action="store_true", help="finish now with what is recorded so far")
    how.add_argument("--cancel", action="store_true", help="discard what is recorded so far")
    acceptance.add_arguments(actions)
    build = actions.add_parser(
        "build", help="build one from images: the training set, or images of what the camera should show"
    )
    build.add_argument("--camera", required=True, help="the camera it is for")
    build.add_argument(
        "--data", required=True, type=Path, help="a folder of images, or an Ultralytics data.yaml"
    )
    build.add_argument("--split", default="train", help="split of a data.yaml (default %(default)s)")
    build.add_argument("--model", default="", metavar="ONNX", help="the model (default: the config's)")
    build.add_argument(
        "--most", type=int, default=5000, metavar="N", help="most images to use (default %(default)s)"
    )
    build.add_argument(
        "--out", type=Path, help="write a file to import elsewhere, instead of using the reference here"
    )
    build.add_argument(
        "--force", action="store_true", help="replace an existing file at --out, whatever it is"
    )
    listing = actions.add_parser("list", help="list the versions of all cameras, and recordings in progress")
    listing.add_argument("--camera", default="", help="only of this camera")
    listing.add_argument("--json", action="store_true", help="as JSON")
    show = actions.add_parser("show", help="show one reference: its features by hour, and its limits")
    _add_choice(show)
    show.add_argument("--feature", default="", help="show this feature hour by hour")
    show.add_argument("--png", type=Path, metavar="DIR", help="also draw a chart of each feature")
    diff = actions.add_parser("diff", help="compare two references, feature by feature")
    for name in ("first", "second"):
        diff.add_argument(name, help="camera, camera:id or an exported file")
    export = actions.add_parser("export", help="write a reference to a file")
    _add_choice(export)
    export.add_argument("--out", type=Path, required=True, metavar="FILE", help="the file to write")
    export.add_argument(
        "--force", action="store_true", help="replace an existing file at --out, whatever it is"
    )
    load = actions.add_parser("import", help="use an exported reference")
    load.add_argument("file", type=Path, help="a file that `vedette reference export` wrote")
    load.add_argument("--camera", default="", help="for which camera (default: the one it was made for)")
    rollback = actions.add_parser("rollback", help="go back to the previous version, or to --id")
    _add_choice(rollback)
    remove = actions.add_parser("remove", help="delete a version")
    remove.add_argument("--camera", required=True, help="whose version")
    remove.add_argument("--id", required=True, help="its id, or the beginning of it")
    accept_after_action(actions)


def _add_choice(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--camera", required=True, help="which camera")
    parser.add_argument(
        "--id", default="", help="a version's id, or its beginning (default: the one in force)"
    )


def run(args: argparse.Namespace) -> int:
    """Carry out the action."""
    if args.action in _OF_ONE_CAMERA and args.camera:
        _require_camera(args, args.camera, of_old=True)
    return {
        "record": _record,
        "accept": acceptance.accept,
        "undo": acceptance.undo,
        "history": acceptance.history,
        "build": _build,
        "list": _list,
        "show": _show,
        "diff": _diff,
        "export": _export,
        "import": _import,
        "rollback": _rollback,
        "remove": _remove,
    }[args.action](args)


# -- by the running agent -----------------------------------------------------------------------------------


def _record(args: argparse.Namespace) -> int:
    from agent.app.control_socket import call
    from agent.cli.local import state_directory

    command = "reference_finish" if args.finish else "reference_cancel" if args.cancel else "reference_record"
    words = {"camera": args.camera} | ({"for": args.duration} if args.duration else {})
    state = state_directory(args)
    for camera in call(state, command, words)["cameras"]:
        print(f"camera {camera['camera']}: {_progress(camera)}")
    if args.duration:
        for camera in call(state, "status")["cameras"]:
            if camera["camera"] == args.camera and camera["state"] != "online":
                why = f" ({camera['reason']})" if camera["reason"] else ""
                print(f"it is {camera['state'].replace('_', ' ')}{why}: only sound frames are recorded")
        print("`vedette reference list` shows the progress; a restart of the agent loses none of it")
    return 0


def _progress(camera: dict[str, Any]) -> str:
    recording = camera["recording"]
    if recording is None:
        return "nothing is being recorded"
    from agent.alerts.words import duration
    from agent.core.counts import count

    by = "by itself" if recording["made_by"] == "auto" else "as asked"
    return (
        f"recording {by}, {duration(recording['covered'])} of {duration(recording['length'])} "
        f"({count(recording['windows'], 'window')})"
    )


# -- of images ----------------------------------------------------------------------------------------------


def _build(args: argparse.Namespace) -> int:
    from agent.cli.local import ask, settings_of
    from agent.cli.output import refuse_taken, write_output
    from agent.config.schema import CameraSettings, ModelSettings, Settings
    from agent.core.dataset import images_of
    from agent.core.terminal import bar
    from agent.logging import setup as log
    from agent.references.offline.images import ImagePlan, build

    log.set_up("warning")
    if args.out:
        refuse_taken(args.out, begins=_BEGINS, force=args.force)
    else:
        _require_camera(args, args.camera)
    settings = settings_of(args) or Settings()
    model = ModelSettings(path=args.model) if args.model else settings.model
    camera = next((one for one in settings.cameras if one.name == args.camera), CameraSettings(name="none"))
    images = images_of(args.data, args.split, most=args.most)
    plan = ImagePlan(
        camera=args.camera,
        images=images.paths,
        model=model,
        window_seconds=settings.windows.length,
        window_frames=settings.windows.length * settings.drift.feature_fps,
        privacy=camera.privacy_masks,
        scope=camera.scope,
    )
    built = build(plan, now=clock.wall(), progress=partial(bar, name="images"))
    _print_built(built, images)
    if args.out:
        write_output(args.out, built.stored.to_text().encode(), begins=_BEGINS, force=args.force)
        print(f"{args.out}: reference {built.stored.id}; `vedette reference import` puts it in force")
        return 0
    put = ask(args, "reference_import", {"camera": args.camera, "text": built.stored.to_text()})
    print(f"camera {put['camera']}: reference {put['id']} is in force")
    return 0


def _print_built(built: Built, images: Images) -> None:
    source = f"{built.used} images"
    if images.left_out:
        step = 1 + images.left_out // max(1, len(images.paths))
        source += f" (every {step}. of {len(images.paths) + images.left_out})"
    print(
        f"made of {source} by {built.model}, {built.boxes} boxes; limits are assumed, verdicts will be provisional"
    )
    for path, reason in built.unreadable[:5]:
        print(f"left out: {path}: {reason}")
    if len(built.unreadable) > 5:
        print(f"left out: {len(built.unreadable) - 5} more")


def _require_camera(args: argparse.Namespace, camera: str, *, of_old: bool = False) -> None:
    """ReferenceMismatch for a camera that neither config nor running agent has; without them none is refused.

    `of_old`: one that was removed from the config will do, as long as there are references of it.
    """
    from agent.app.control_socket import call
    from agent.cli.local import agent_runs, ask, settings_of, state_directory
    from agent.core.errors import ConfigError, ReferenceMismatch
    from agent.core.nearest import unknown

    known: list[str] = []
    with suppress(ConfigError):  # a file that is broken at the moment: then the agent alone is asked
        known += [one.name for one in getattr(settings_of(args), "cameras", ())]
    if agent_runs(args):
        known += [str(one["camera"]) for one in call(state_directory(args), "status")["cameras"]]
    if of_old and known and camera not in known:
        known += [version["camera"] for version in ask(args, "references", {})["versions"]]
    if known and camera not in known:
        raise ReferenceMismatch(
            f"{unknown('camera', camera, dict.fromkeys(known))}; name the camera it is for with --camera"
        )


# -- those there are ----------------------------------------------------------------------------------------


def _list(args: argparse.Namespace) -> int:
    import json

    from rich.table import Table

    from agent.alerts.words import duration, stamp
    from agent.cli.local import ask
    from agent.core.terminal import console

    words = {"camera": args.camera} if args.camera else {}
    versions = ask(args, "references", words)["versions"]
    live = _live(args, words)
    if args.json:
        print(json.dumps({"versions": versions, "cameras": live}, indent=2))
        return 0
    table = Table(box=None, pad_edge=False)
    for column in ("camera", "", "id", "made", "from", "covers", "hours", ""):
        table.add_column(column)
    for version in versions:
        table.add_row(
            version["camera"],
            "in force" if version["current"] else "",
            version["id"],
            stamp(version["made_at"]),
            {"images": "images", "asked": "recording", "auto": "recording (auto)"}.get(
                version.get("made_by", ""), "?"
            ),
            duration(version["covered"]) if version.get("covered") else "-",
            f"{len(version['hours'])} of 24" if version.get("hours") else "any",
            version.get("problem") or _remarks(version),
        )
    console().print(table if versions else "there is no reference")
    for camera in live:
        if camera["recording"]:
            print(f"camera {camera['camera']}: {_progress(camera)}")
        if growing := camera.get("growing"):  # an older agent gives none
            of = duration(growing["length"])
            print(f"camera {camera['camera']}: growing, {duration(growing['covered'])} of {of} judged normal")
        if camera["problem"]:
            print(f"camera {camera['camera']}: not judged: {camera['problem']}")
    return 0


def _remarks(version: dict[str, Any]) -> str:
    from agent.alerts.words import stamp

    remarks = ["provisional"] if version["provisional"] else []
    if accepted := version.get("accepted"):
        remarks.append(f"accepted from {stamp(accepted['since'])} by {accepted['by']}, of {accepted['base']}")
    if grown_from := version.get("grown_from"):
        remarks.append(f"grown from {grown_from}")
    return ", ".join(remarks)


def _live(args: argparse.Namespace, words: dict[str, Any]) -> list[dict[str, Any]]:
    """The status of the running agent's cameras; empty where none runs, or drift is off."""
    from agent.app.control_socket import call
    from agent.cli.local import agent_runs, state_directory
    from agent.core.errors import VedetteError

    if not agent_runs(args):
        return []
    try:
        return list(call(state_directory(args), "drift", words)["cameras"])
    except VedetteError:
        return []  # the camera asked for is only on disk, or drift is off: the stored versions are all there is


def _stored(args: argparse.Namespace, camera: str, id: str) -> Any:
    from agent.cli.local import ask
    from agent.references.store import parse_file

    reply = ask(args, "reference_export", {"camera": camera, "id": id})
    return parse_file(Path(f"reference {reply['id']} of camera {camera}"), reply["text"])


def _show(args: argparse.Namespace) -> int:
    from agent.cli.reference_tables import show, show_feature

    stored = _stored(args, args.camera, args.id)
    if args.feature:
        show_feature(stored, args.feature)
    else:
        show(stored)
    if args.png:
        from agent.references.charts import draw_reference

        for path in draw_reference(stored.reference, args.png):
            print(path)
    return 0


def _diff(args: argparse.Namespace) -> int:
    from agent.cli.reference_tables import diff

    diff(args.first, _named(args, args.first), args.second, _named(args, args.second))
    return 0


def _named(args: argparse.Namespace, name: str) -> Any:
    from agent.references.store import parse_file, read_text

    path = Path(name)
    if path.suffix == ".json" or "/" in name or path.is_file():
        return parse_file(path, read_text(path))
    camera, _, id = name.partition(":")
    return _stored(args, camera, id)


def _export(args: argparse.Namespace) -> int:
    from agent.cli.local import ask
    from agent.cli.output import refuse_taken, write_output

    refuse_taken(args.out, begins=_BEGINS, force=args.force)
    reply = ask(args, "reference_export", {"camera": args.camera, "id": args.id})
    write_output(args.out, reply["text"].encode(), begins=_BEGINS, force=args.force)
    print(f"{args.out}: reference {reply['id']} of camera {reply['camera']}")
    return 0


def _import(args: argparse.Namespace) -> int:
    from agent.references.store import parse_file, read_text

    text = read_text(args.file)
    stored = parse_file(args.file, text)
    camera = args.camera or stored.reference.origin.camera
    _require_camera(args, camera)
    return acceptance.put_in_force(
        args, "reference_import", {"camera": camera, "text": text, "file": str(args.file)}
    )


def _rollback(args: argparse.Namespace) -> int:
    return acceptance.put_in_force(args, "reference_rollback", {"camera": args.camera, "id": args.id})


def _remove(args: argparse.Namespace) -> int:
    from agent.cli.local import ask
    from agent.core import user

    words = {"camera": args.camera, "id": args.id, "who": user.name()}
    reply = ask(args, "reference_remove", words)
    print(f"camera {reply['camera']}: reference {reply['id']} is removed")
    return 0
