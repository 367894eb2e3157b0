"""`vedette model deploy`, `rollback`, `history`: replace the model while the agent runs, and go back."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_EPILOG = """\
examples:
  vedette model deploy new.onnx             verify it, try it beside the running model, switch, monitor it
  vedette model deploy new.onnx --no-wait   do not wait for the result
  vedette model deploy https://HOST/new.onnx --sha256 1f...   fetch it (without --sha256 only if it is signed)
  vedette model rollback                    go back to the previous model
  vedette model history                     past deployments and their results

The steps: fetched, verified (digest, signature, version, content), loaded (beside the running model), gated (both run
on the same frames), shadowed ([deploy] shadow), switched (between two frames), probation ([deploy] probation), kept.
A model that fails before the switch is refused; if it fails afterwards, the agent returns to the previous one. A
deployed model stays in use over restarts, until the config's [model] path names another file.
"""
_ENDED = {"kept": 0, "refused": 1, "returned": 1}
_POLL_SECONDS = 0.5


def add_arguments(commands: Any) -> None:
    """Declare `deploy`, `rollback` and `history` among the commands of `vedette model`."""
    from agent.cli.local import add_state_arguments

    for name, words in (
        ("deploy", "replace the model while the agent runs"),
        ("rollback", "go back to the previous model, or abort a deployment"),
        ("history", "the model in use, and past deployments"),
    ):
        parser = commands.add_parser(
            name, help=words, epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        add_state_arguments(parser)
        if name == "history":
            parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
        if name == "deploy":
            parser.add_argument(
                "source", help="an ONNX file or https://HOST/PATH, its signature beside it (NAME.onnx.sig)"
            )
            parser.add_argument(
                "--older", action="store_true", help="accept an older version than one that was in use"
            )
            parser.add_argument("--sha256", default="", help="refuse the file if it has another sha256")
            parser.add_argument(
                "--no-wait",
                action="store_true",
                help="return at once instead of at the start of the probation",
            )


def run(args: argparse.Namespace) -> int:
    """Do what `args.what` names."""
    return {"deploy": _deploy, "rollback": _roll_back, "history": _history}[args.what](args)


def _deploy(args: argparse.Namespace) -> int:
    from agent.app.control_socket import call
    from agent.cli.local import state_directory
    from agent.core.user import name as user_name
    from agent.maintenance.deploy import signing
    from agent.maintenance.deploy.plain_file import read_plain

    state = state_directory(args)
    words = {"sha256": args.sha256, "older": args.older, "who": user_name()}
    if args.source.startswith("https://"):
        return _order(args, state, {**words, "url": args.source})
    source = Path(args.source)
    if (beside := signing.path_of(source)).exists():
        signature = read_plain(beside, signing.LARGEST_SIGNATURE, "signature")
        words["signature"] = signature.decode("utf-8", "replace")
    call(state, "model_deployments")  # raises where no agent runs: it would be no use to copy the file
    with _handed_over(source, state) as path:
        return _order(args, state, {**words, "path": str(path), "name": source.name})


def _order(args: argparse.Namespace, state: Path, words: Mapping[str, Any]) -> int:
    from agent.app.control_socket import call

    reply = call(state, "model_deploy", words)
    print(reply["text"])
    return 0 if args.no_wait else _follow(state, reply["deployment"]["id"])


@contextmanager
def _handed_over(source: Path, state: Path) -> Iterator[Path]:
    """A path at which the agent's user can read the file: a copy in its state directory, where one may be written."""
    from agent.core.state_dir import as_owner
    from agent.maintenance.deploy.model_store import ModelStore
    from agent.maintenance.deploy.plain_file import open_plain

    with open_plain(source, "model") as (file, _):
        try:
            with as_owner(state):
                copied = ModelStore(state).receive(file, source.name)
        except PermissionError:
            yield source.resolve()
            return
    try:
        yield copied.path
    except BaseException:
        copied.path.unlink(missing_ok=True)
        raise


def _follow(state: Path, id: str) -> int:
    """Print each step until the new model is in force or the deployment has ended."""
    from agent.app.control_socket import call

    shown, noted, known = "", "", dict[str, float]()
    while True:
        report = call(state, "model_deployments")
        entries = [one for one in (report["deployment"], *report["history"]) if one and one["id"] == id]
        if not entries:
            print(f"deployment {id} is no longer known; see `vedette model history`")
            return 1
        entry = entries[0]
        if entry["state"] != shown:
            shown = entry["state"]
            news = {name: value for name, value in entry["numbers"].items() if name not in known}
            known |= news
            print(f"  {shown:<10} {_numbers(news)}".rstrip())
            if entry["note"] not in ("", noted):
                noted = entry["note"]
                print(f"  note: {noted}")
        if shown in _ENDED:
            print(f"{shown}: {entry['reason']}" if entry["reason"] else shown)
            return _ENDED[shown]
        if shown == "probation":
            print(
                "in use; it is monitored now, and the agent returns to the previous model if it fails "
                "(vedette model history)"
            )
            return 0
        time.sleep(_POLL_SECONDS)


def _roll_back(args: argparse.Namespace) -> int:
    from agent.app.control_socket import call
    from agent.cli.local import state_directory
    from agent.core.user import name as user_name

    print(call(state_directory(args), "model_rollback", {"who": user_name()})["text"])
    return 0


def _history(args: argparse.Namespace) -> int:
    from agent.alerts.words import stamp
    from agent.app.control_socket import call
    from agent.cli.local import state_directory

    report = call(state_directory(args), "model_deployments")
    if args.json:
        print(json.dumps(report, indent=2))
        return 0
    print(f"in force: {_model(report['in_force'])}")
    if report["previous"]:
        print(f"before:   {_model(report['previous'])} (`vedette model rollback` goes back to it)")
    for one in (report["deployment"], *report["history"]):
        if one:
            print(
                f"{stamp(one['changed_at'])}  {one['state']:<10} {_model(one['model'])}, by {one['by'] or '?'}"
            )
            for line in (one["reason"], one["note"], _numbers(one["numbers"])):
                if line:
                    print(f"    {line}")
    return 0


def _model(model: Mapping[str, Any]) -> str:
    version = f" version {model['version']}" if model["version"] else ""
    digest = f" ({model['sha256'][:12]})" if model["sha256"] else ""
    return f"{model['name']}{version}{digest}"


def _numbers(numbers: Mapping[str, float]) -> str:
    from agent.alerts.words import quantity
    from agent.core.metrics.definition import unit_of

    texts = []
    for name, value in numbers.items():
        suffix, unit = unit_of(name)
        texts.append(f"{name.removesuffix(suffix).replace('_', ' ')} {quantity(value, unit)}")
    return ", ".join(texts)
