"""`vedette model card`: writes a model card as Markdown and as one HTML file."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agent.cli.local import add_state_arguments
from agent.core.errors import ConfigError, MissingExtra, VedetteError

if TYPE_CHECKING:
    from agent.config.schema import Settings
    from agent.core.logbook import Entry
    from agent.detection import ModelInfo
    from agent.maintenance.card.markdown import Card

HOUR = 3600.0
DRIFT_DAYS = 7
_LARGEST_REPORT = 8 << 20
_MARKDOWN, _HTML = b"---\n", b"<!doctype html>"
_DRIFT_RULES = frozenset({"drift", "creep", "outliers"})
_EPILOG = """\
examples:
  vedette model card yard.onnx --template > yard.card.toml       questions for a person: fill them in
  vedette model evaluate yard.onnx --data data.yaml --json > yard.json
  vedette model card yard.onnx --evaluation yard.json            yard.card.md, yard.card.html, charts of drift
  vedette model card yard.onnx --state /var/lib/vedette          with the device's history: docs/model-card.md

Missing information is marked in the card as a gap.
"""


def add_arguments(what: Any) -> None:
    """Declare the command's arguments."""
    parser = what.add_parser(
        "card",
        help="write a model card: architecture, figures, history, and what people add",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=_EPILOG,
    )
    parser.add_argument("source", type=Path, help="an ONNX file")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="where the card is written (default: beside the model)"
    )
    parser.add_argument(
        "--evaluation",
        type=Path,
        metavar="FILE",
        help="the output of `vedette model evaluate --json` for this model",
    )
    parser.add_argument(
        "--template", action="store_true", help="print a NAME.card.toml to fill in, and write no card"
    )
    parser.add_argument("--force", action="store_true", help="replace files of other kinds")
    add_state_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Write the card, or print the template."""
    from agent.cli.output import refuse_taken, write_output
    from agent.maintenance.card import markdown, person

    if args.template:
        print(person.template(args.source), end="")
        return 0
    base = (args.out or args.source.parent) / f"{args.source.stem}.card"
    texts, pages = base.with_name(base.name + ".md"), base.with_name(base.name + ".html")
    for path, begins in ((texts, _MARKDOWN), (pages, _HTML)):
        refuse_taken(path, begins=begins, force=args.force)
    card = _card(args)
    base.parent.mkdir(parents=True, exist_ok=True)
    write_output(texts, markdown.markdown(card).encode(), begins=_MARKDOWN, force=args.force)
    write_output(pages, markdown.html(card).encode(), begins=_HTML, force=args.force)
    for name, svg in card.pictures.items():
        write_output(base.parent / name, svg.encode(), begins=b"<svg", force=args.force)
    print("\n".join(str(path) for path in (texts, pages, *(base.parent / name for name in card.pictures))))
    return 0


def _card(args: argparse.Namespace) -> Card:
    from agent.config.schema import Settings
    from agent.core import clock
    from agent.maintenance.card import known, markdown, person

    info, graph = _model(args.source)
    settings, state = _settings(args), _state(args)
    report = _report(args.evaluation, info)
    answers = person.read(person.path_of(args.source))
    entries = _changes(state)
    ours = [entry for entry in entries if entry.kind == "model" and info.sha256[:12] in entry.what]
    latest = [entry.what for entry in entries if entry.kind == "model"][-1:]
    drift, pictures = _drift(state, args.source.stem) if state else ([], {})
    return markdown.Card(
        title=f"Model card: {args.source.stem}",
        made=known.day(clock.wall()),
        file=person.path_of(args.source).name,
        front=markdown.front_matter(
            args.source.stem, _licence(answers, graph.metadata), ("yolo", "vedette"), report
        ),
        known={
            "overview": list(known.overview(info, graph.metadata)),
            "architecture": list(known.architecture(info, graph)),
            "hyper_parameters": list(known.hyper_parameters(graph.metadata)),
            "training": list(known.training(_manifest(args.source, info))),
            "evaluation": list(known.evaluation(report, _accuracy(state, info))),
            "deployment": list(
                known.deployment(
                    args.source.name,
                    any(info.sha256[:12] in what.split(" instead ")[0] for what in latest),
                    ours,
                )
            ),
            "monitoring": list(
                known.monitoring(settings or Settings(), settings is not None, _references(state, info))
            ),
            "changes": list(known.changes(entries)),
            "drift": drift,
        },
        answers=answers,
        pictures=pictures,
    )


# -- where it comes from ------------------------------------------------------------------------------------


def _model(path: Path) -> tuple[ModelInfo, Any]:
    from agent.config.schema import ModelSettings
    from agent.core.installation import how_to_add
    from agent.detection.session import Detector

    try:
        from agent.modeltools import embed
        from agent.modeltools.graph_facts import graph_facts
    except ModuleNotFoundError:
        raise MissingExtra(f"a model card needs the library 'onnx': {how_to_add('export')}") from None
    detector = Detector(ModelSettings(path=str(path), provider="cpu"))
    detector.open()
    detector.close()
    return detector.info, graph_facts(embed.load(str(path)), detector.info.input_size)


def _settings(args: argparse.Namespace) -> Settings | None:
    from agent.cli.local import settings_of

    return settings_of(args)


def _state(args: argparse.Namespace) -> Path | None:
    """The state directory of the agent; None where none is meant and none is there."""
    from agent.cli.local import state_directory

    state = state_directory(args)
    if state.is_dir():
        return state
    if args.state or args.config:
        raise VedetteError(f"{state}: there is no such state directory")
    return None


def _manifest(path: Path, info: ModelInfo) -> Any:
    from agent.detection import manifest

    beside = manifest.path_of(path)
    found = manifest.read(beside) if os.path.lexists(beside) else None
    return found if found is not None and found.sha256 == info.sha256 else None


def _licence(answers: Mapping[str, Mapping[str, str]], metadata: Mapping[str, str]) -> str:
    given = answers.get("overview", {}).get("licence") or metadata.get("license", "")
    found = re.match(r"[A-Za-z0-9.+-]+", given)
    return found[0] if found else ""


def _report(path: Path | None, info: ModelInfo) -> Mapping[str, Any] | None:
    """What `vedette model evaluate --json` printed, checked to be that, and of this model."""
    from agent.core.untrusted import BadInput, parse_object, take_list, take_number, take_object, take_text

    if path is None:
        return None
    try:
        body = parse_object(path.read_bytes(), largest=_LARGEST_REPORT)
        model = take_object({"model": take_list(body, "models")[0]}, "model")
        for figure in ("precision", "recall", "map50", "map50_95"):
            take_number(take_object(model, "all"), figure)
        for key in ("images", "boxes"):
            take_number(body, key)
        for key in ("inference_seconds_p50", "inference_seconds_p99", "memory_bytes"):
            take_number(model, key)
        for key in ("classes", "sizes", "cameras"):
            for one in take_object(model, key).values():
                take_object({"row": one}, "row")
        digest = take_text(model, "sha256")
        texts = take_text(body, "data"), take_text(body, "split"), take_text(model, "provider")
    except (BadInput, IndexError) as error:
        raise ConfigError(
            f"is not what `vedette model evaluate --json` prints: {error}", file=str(path)
        ) from None
    if digest != info.sha256:
        raise ConfigError(f"is about another model ({digest[:12]}, not {info.sha256[:12]})", file=str(path))
    return {**body, "data": texts[0], "split": texts[1]}


def _accuracy(state: Path | None, info: ModelInfo) -> list[Sequence[object]]:
    from agent.core.state_dir import as_owner
    from agent.maintenance.samples.accuracy import accuracy, counts_of
    from agent.maintenance.samples.sample import AUDIT
    from agent.maintenance.samples.store import SampleStore

    if state is None or not (state / "samples").is_dir():
        return []
    with as_owner(state):
        audit = [one.sample for one in SampleStore(state).samples() if one.sample.reason == AUDIT]
    ours = [one for one in audit if one.labels is not None and one.model == info.sha256]
    groups = [
        ("all", ours),
        *(
            (name, [one for one in ours if one.camera == name])
            for name in sorted({one.camera for one in ours})
        ),
    ]
    return [_accuracy_row(name, accuracy(counts_of(samples))) for name, samples in groups if samples]


def _accuracy_row(name: str, one: Any) -> Sequence[object]:
    def shown(figure: str) -> str:
        sure = getattr(one, f"{figure}_interval")
        within = f" ({sure.low:.2f} to {sure.high:.2f})" if sure else ""
        return f"{getattr(one, figure):.2f}{within}"

    return (name, one.frames, one.labels, shown("precision"), shown("recall"), shown("f1"))


def _changes(state: Path | None) -> list[Entry]:
    from agent.cli.log import changes_of

    return changes_of(state) if state else []


def _references(state: Path | None, info: ModelInfo) -> list[Sequence[object]]:
    """The references in force that are of this model."""
    from agent.core.state_dir import as_owner
    from agent.core.units import duration_text
    from agent.maintenance.card.known import day
    from agent.references.requests import StoreRequests
    from agent.references.store import ReferenceStore

    if state is None:
        return []
    with as_owner(state):
        versions = StoreRequests(ReferenceStore(state)).references({})["versions"]
    return [
        (
            one["camera"],
            one["id"],
            day(one["made_at"]),
            duration_text(60 * max(1, round(one["covered"] / 60))),
            "provisional" if one["provisional"] else "final",
        )
        for one in versions
        if one["current"] and one.get("model_sha256") == info.sha256
    ]


def _drift(state: Path, name: str) -> tuple[list[str], dict[str, str]]:
    """The drift of the last days: a picture and a line of each camera, and the alerts that drift fired."""
    from agent.app.history import TimeRange, rows
    from agent.core import clock
    from agent.core.counts import count
    from agent.core.state_dir import as_owner
    from agent.maintenance.card.chart import drift_chart
    from agent.maintenance.card.known import day
    from agent.maintenance.card.words import plain, table

    now = clock.wall()
    with as_owner(state):
        ratios: dict[str, list[tuple[float, float]]] = {}
        for row in rows(state, TimeRange(since=now - DRIFT_DAYS * 86400.0, until=now), "cameras"):
            if (ratio := row.get("drift_ratio")) is not None:
                ratios.setdefault(str(row["camera"]), []).append((row["time"], ratio))
    alerts = _drift_alerts(state)
    parts, pictures = [], {}
    for camera, judged in sorted(ratios.items()):
        fired = [at for at, whose, _ in alerts if whose == camera]
        file = f"{name}.card-drift-{camera}.svg"
        step = HOUR if judged[-1][0] - judged[0][0] > 86400.0 else 60.0
        title = f"camera {camera}: the largest drift of each {'hour' if step == HOUR else 'minute'}"
        pictures[file] = drift_chart(title, _largest(judged, step), fired)
        over = sum(ratio >= 1 for _, ratio in judged)
        parts.append(
            f"Camera {plain(camera)}: {count(len(judged), 'minute')} with a verdict in the last {DRIFT_DAYS} days, "
            f"{over:,} of them over the limit.\n\n"
            f"![Drift of camera {plain(camera)}]({file})"
        )
    parts.append(table(("when", "camera", "what"), ((day(at), whose, what) for at, whose, what in alerts)))
    return parts, pictures


def _largest(judged: Sequence[tuple[float, float]], step: float) -> list[tuple[float, float]]:
    """The largest ratio of each stretch of `step` seconds."""
    found: dict[float, float] = {}
    for at, ratio in judged:
        found[at - at % step] = max(found.get(at - at % step, 0.0), ratio)
    return sorted(found.items())


def _drift_alerts(state: Path) -> list[tuple[float, str, str]]:
    """When an alert about drift was fired, on which camera, in which words."""
    from agent.cli.alerts import stored_history
    from agent.cli.local import whole

    try:
        found = whole(partial(stored_history, state), {"since": "90d"}, "alerts", 20_000)["alerts"]
    except VedetteError:  # no alerts were ever stored here
        return []
    return [
        (one["changed_at"], str(one["labels"].get("camera", "")), one["what"])
        for one in found
        if one["rule"] in _DRIFT_RULES and one["event"] == "fired"
    ]
