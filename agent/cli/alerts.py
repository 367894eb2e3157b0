"""`vedette alerts`: lists the alerts of this box, and acknowledges, snoozes or mutes them."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from agent.cli.local import accept_after_action, add_state_arguments
from agent.core import user

_EPILOG = """\
examples:
  vedette alerts                                       firing alerts
  vedette alerts --all                                 also what is pending or suppressed, and why
  vedette alerts ack latency_p99-front --why "on it"   the id may be shortened
  vedette alerts snooze latency_p99-front --for 2h
  vedette alerts mute --camera yard --schedule "mon-fri 08:00-17:00" --why "building works"
  vedette alerts limit latency_p99 0.8 --camera front
  vedette alerts controls                              the controls in force; `undo ID` withdraws one
  vedette alerts history --since 24h
  vedette alerts notifiers                             the state of each notifier: sent, waiting, why it fails
  vedette alerts test-notify                           send a test notice through every notifier of the config
"""


MOST_LISTED = 500


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    add_state_arguments(parser)
    parser.add_argument("--all", action="store_true", help="also pending and suppressed alerts")
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.add_argument("--who", default="", help="who asks (default: the user who runs this)")
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    for name, text in (
        ("ack", "acknowledge an alert: no more reminders until it resolves"),
        ("snooze", "suppress an alert for a while"),
    ):
        action = actions.add_parser(name, help=text)
        action.add_argument("id", help="id of the alert, or its beginning")
        _add_time(action, name)
    mute = actions.add_parser("mute", help="suppress the alerts of a rule or a camera, or at some hours")
    mute.add_argument("--rule", default="", help="alerts of this rule (default: all rules)")
    mute.add_argument("--camera", default="", help="alerts of this camera (default: all cameras)")
    mute.add_argument("--schedule", default="", help='local hours, such as "mon-fri 08:00-17:00"')
    _add_time(mute, "mute")
    limit = actions.add_parser("limit", help="change the limit of a rule")
    limit.add_argument("rule", help="name of the rule (`vedette rules list`)")
    limit.add_argument("value", type=float, help="in the unit of the metric; a ratio is 0..1")
    limit.add_argument("--camera", default="", help="only for this camera")
    _add_time(limit, "limit")
    for name in ("undo", "unmute"):
        undo = actions.add_parser(name, help="withdraw a control")
        undo.add_argument("id", help="id of the control, as `vedette alerts controls` lists it")
        undo.add_argument("--why", default="", help="the reason, shown to others")
    actions.add_parser("controls", help="the controls in force")
    history = actions.add_parser("history", help="past changes of alerts")
    history.add_argument("--since", default="24h", help="how long ago, or a time (default %(default)s)")
    history.add_argument(
        "--limit", type=int, default=200, help="how many, newest first (default %(default)s)"
    )
    actions.add_parser(
        "notifiers", help="the state of each notifier of the running agent, and why it cannot deliver"
    )
    trial = actions.add_parser(
        "test-notify", help="send a test notice through the config's notifiers; needs no running agent"
    )
    trial.add_argument("notifier", nargs="*", help="names of notifiers (default: all that are enabled)")
    accept_after_action(actions)
    for action in actions.choices.values():
        action.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="as JSON")
        action.add_argument("--who", default=argparse.SUPPRESS, help="who asks (default: who runs this)")


def _add_time(parser: argparse.ArgumentParser, name: str) -> None:
    if name != "ack":
        parser.add_argument("--for", dest="duration", help="how long, such as 2h")
        parser.add_argument("--until", help="until when: 18:00 or 2026-01-31T18:00 (local time)")
    parser.add_argument("--why", default="", help="the reason, shown to others")


def run(args: argparse.Namespace) -> int:
    """Ask the running agent and print."""
    import json

    from agent.app.control_socket import call
    from agent.cli.local import agent_runs, state_directory, whole

    if args.action == "test-notify":
        from agent.cli.trial import send_trials

        return send_trials(args.config, args.notifier)
    command, words = _request(args)
    state = state_directory(args)
    if command == "history" and not agent_runs(args):
        reply = whole(partial(stored_history, state), words, "alerts", args.limit)
    elif command in {"alerts", "history"}:
        reply = whole(partial(call, state, command), words, "alerts", getattr(args, "limit", MOST_LISTED))
    else:
        reply = call(state, command, words)
    if args.json:
        print(json.dumps({key: value for key, value in reply.items() if key != "ok"}, indent=2))
    elif command == "alerts":
        _print_alerts(reply["alerts"], reply["count"])
    elif command == "history":
        _print_history(reply["alerts"])
    elif command == "notifiers":
        _print_notifiers(reply["notifiers"])
    elif command == "controls":
        for control in reply["controls"]:
            print(_control_line(control))
        if not reply["controls"]:
            print("nothing is in force")
    else:
        print(f"{'undone: ' if command == 'undo' else ''}{_control_line(reply['control'])}")
    return 0


def _request(args: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    commands = {None: "alerts", "ack": "acknowledge", "unmute": "undo"}
    command = commands.get(args.action, args.action)
    who = args.who or user.name()
    given = {
        name: getattr(args, name, None)
        for name in ("id", "rule", "camera", "schedule", "until", "why", "value")
    }
    words = {name: value for name, value in given.items() if value not in {None, ""}} | {"who": who}
    if getattr(args, "duration", None):
        words["for"] = args.duration
    if command == "alerts":
        words = {"all": args.all}
    elif command == "notifiers":
        words = {}
    elif command == "history":
        words = {"since": args.since}
    return command, words


def stored_history(state: Path, words: Mapping[str, Any]) -> Mapping[str, Any]:
    """The history as it lies on disk, for a box whose agent does not run."""
    from agent.alerts.engine import AlertEngine
    from agent.alerts.runtime.service import AlertService
    from agent.alerts.runtime.store import FILE_NAME, AlertStore
    from agent.core.errors import VedetteError
    from agent.core.state_dir import as_owner

    if not (state / FILE_NAME).exists():
        raise VedetteError(f"no agent runs, and there is no history in {state}")
    store = AlertStore(state)
    with as_owner(state):
        try:
            store.open()
            return AlertService(AlertEngine(()), store).handlers()["history"](words)
        finally:
            store.close()


def _print_alerts(alerts: list[Mapping[str, Any]], count: int) -> None:
    from agent.alerts.alert_text import evidence_lines, page_command

    if not alerts:
        print("nothing fires")
    for alert in alerts:
        state = alert["severity"].upper() if alert["state"] == "firing" else alert["state"]
        print(f"{state}  {alert['what']}")
        print(f"    expected   {alert['expected']}")
        print(f"    when       {alert['window']}")
        print(f"    rule       {alert['rule']}: {alert['evidence'].get('condition', '')}")
        for fact in evidence_lines(alert["evidence"]):
            print(f"    evidence   {fact}")
        for key, text in (
            ("to do", alert["advice"]),
            ("page", page_command(alert["rule"])),
            ("more", alert["runbook"]),
            ("suppressed", alert["held_back"]),
        ):
            if text:
                print(f"    {key:<10} {text}")
        for kind, control in alert["controls"].items():
            print(f"    {kind:<10} {_by(control)}")
        print(f"    id         {alert['id']}")
    if count > len(alerts):
        print(f"and {count - len(alerts)} more")


def _print_notifiers(notifiers: list[Mapping[str, Any]]) -> None:
    from agent.cli.status import notifier_line
    from agent.core.terminal import console

    screen = console(soft_wrap=True)
    for notifier in notifiers:
        screen.print(notifier_line(notifier))
    if not notifiers:
        screen.print("no notifier is configured")


def _print_history(alerts: list[Mapping[str, Any]]) -> None:
    from agent.alerts.alert_json import alert_from_json
    from agent.alerts.alert_text import journal_line
    from agent.alerts.words import stamp

    for alert in alerts:
        print(f"{stamp(alert['changed_at'])}  {journal_line(alert_from_json(alert))}")
    if not alerts:
        print("nothing happened")


def _control_line(control: Mapping[str, Any]) -> str:
    labels = " ".join(f"{key} {value}" for key, value in control["labels"].items())
    about = " ".join(
        part for part in (control["alert"], control["rule"], labels, control["schedule"]) if part
    )
    value = f" = {control['value']:g}" if control["value"] is not None else ""
    return f"{control['id']:<5} {control['kind']:<12} {about}{value}, {_by(control)}"


def _by(control: Mapping[str, Any]) -> str:
    from agent.alerts.words import stamp

    until = f", until {stamp(control['until'])}" if control.get("until") else ""
    why = f": {control['why']}" if control.get("why") else ""
    return f"by {control['who']} at {stamp(control['at'])}{until}{why}"
