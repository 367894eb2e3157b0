"""The command line: each command is one module, imported when it is used.

A command's module has `add_arguments(parser)` and `run(args) -> exit code`.
"""

from __future__ import annotations

COMMANDS: dict[str, tuple[str, str]] = {
    "run": ("agent.cli.run", "run the agent, with a config file or on one source"),
    "demo": (
        "agent.cli.demo",
        "watch the agent on four drawn cameras, with a broker, an incident and a live view",
    ),
    "check": ("agent.cli.check", "check a config: file, model, cameras, broker"),
    "config": ("agent.cli.config", "show the effective configuration, or the commented example"),
    "watch": ("agent.cli.watch", "watch all devices of a broker, live"),
    "dashboard": ("agent.cli.dashboard", "show the fleet of a broker in the browser, with its history"),
    "collect": (
        "agent.cli.collect",
        "write the messages of a fleet into PostgreSQL, alone or together with other collectors",
    ),
    "report": ("agent.cli.report", "write an HTML file about a camera, from a dashboard's history"),
    "snapshot": (
        "agent.cli.snapshot",
        "write the last frame of a camera, or one of a source, with its boxes, as a file",
    ),
    "zones": ("agent.cli.zones", "draw the masks and zones of a camera over one of its frames"),
    "samples": (
        "agent.cli.samples",
        "list, show, export and purge the frames kept for labelling; import labels",
    ),
    "model": ("agent.cli.model", "prepare, inspect and evaluate models"),
    "schema": ("agent.cli.schema", "print the JSON Schemas of what is published"),
    "grafana": ("agent.cli.grafana", "write the Grafana dashboards to a folder"),
    "alerts": ("agent.cli.alerts", "list the alerts of this box; acknowledge, snooze, mute, history"),
    "rules": ("agent.cli.rules", "list the alert rules and metrics, or try rules on a recorded day"),
    "drift": (
        "agent.cli.drift",
        "show the drift of each camera, and explain the last verdicts in text and charts",
    ),
    "advise": (
        "agent.cli.advise",
        "what to do about the drift of each camera: why, why not, and the command",
    ),
    "reference": ("agent.cli.reference", "record, build, list, show, compare and roll back references"),
    "sketch": ("agent.cli.sketch", "merge the sketches of many devices and windows: a fleet's drift"),
    "verify": (
        "agent.cli.verify",
        "subscribe to a broker and report gaps, duplicates, disorder and late messages",
    ),
    "devices": (
        "agent.cli.devices",
        "list the devices that a broker knows, or clear the retained messages of one",
    ),
    "retire": (
        "agent.cli.retire",
        "clear all messages that this box retains at its brokers, before it goes out of service",
    ),
    "selftest": (
        "agent.cli.selftest",
        "run the whole agent for a few seconds on a drawn camera, beside the one in service",
    ),
    "status": ("agent.cli.status", "show what the running agent is doing"),
    "log": (
        "agent.cli.log",
        "list every change of model, config, references and limits, and every acknowledgement: who and when",
    ),
    "export": ("agent.cli.export", "write the recorded measurements as CSV, JSON lines or Parquet"),
    "support": ("agent.cli.support", "write a ZIP file for remote support: no secrets, no images"),
    "reload": ("agent.cli.reload", "have the running agent read its config again"),
}
