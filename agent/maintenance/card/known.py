"""What the agent and the model's file know, as the Markdown of the card's sections. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from agent.config.schema import Settings
from agent.core.logbook import Entry
from agent.core.units import duration_text
from agent.detection import ModelInfo
from agent.detection.manifest import Manifest
from agent.maintenance.card.words import count, plain, table

MOST_CHANGES = 200
_FIGURES = ("boxes", "precision", "recall", "f1", "map50", "map50_95")
_METADATA = ("names", "stride", "task", "imgsz", "args")  # shown elsewhere, or as hyper-parameters


def overview(info: ModelInfo, metadata: Mapping[str, str]) -> Iterator[str]:
    """Which file it is, and what it says of itself."""
    facts = [
        ("file", info.path.rpartition("/")[2]),
        ("sha256", info.sha256),
        ("finds", ", ".join(info.classes)),
    ]
    facts += [(key, text) for key, text in metadata.items() if key not in _METADATA and text]
    yield table(("what the file says", ""), facts)


def architecture(info: ModelInfo, graph: Any) -> Iterator[str]:
    """Layout, sizes, parameters, operations and operators (`graph`: modeltools' GraphFacts)."""
    height, width = graph.input_size
    flops = (
        f"{count(graph.flops)} for an image of {width} x {height} (twice the multiply-accumulates of convolutions "
        "and matrix products)"
        if graph.flops is not None
        else f"not known: {graph.unsized} operators have no fixed size"
    )
    operators = ", ".join(f"{number} {name}" for name, number in list(graph.operators.items())[:12])
    yield table(
        ("what", ""),
        [
            ("layout of its output", info.layout),
            ("classes", len(info.classes)),
            ("parameters", f"{graph.parameters:,}"),
            ("floating-point operations", flops),
            ("input", f"{info.input_type}, {'any size' if info.dynamic_size else f'{width} x {height}'}"),
            ("images a run", "any number" if info.dynamic_batch else info.max_batch),
            ("embedding", f"{info.embedding_size} numbers" if info.embedding_size else "none"),
            ("operators", f"{operators}; {sum(graph.operators.values())} in all"),
            ("ONNX", f"opset {graph.opset}, made by {graph.producer or 'nobody named'}"),
        ],
    )


def hyper_parameters(metadata: Mapping[str, str]) -> Iterator[str]:
    """What its metadata has of the export."""
    found = [(key, metadata[key]) for key in ("task", "imgsz", "stride", "args") if metadata.get(key)]
    yield table(("metadata of the file", ""), found)


def training(manifest: Manifest | None) -> Iterator[str]:
    """Where the file came from, by its manifest."""
    if manifest is None:
        return
    checks = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in manifest.checks.items())
    yield table(
        ("prepared by `vedette model prepare`", ""),
        [
            ("from", f"{manifest.source} ({manifest.source_sha256[:12]})"),
            ("when", manifest.created),
            ("with", f"Ultralytics {manifest.ultralytics}" if manifest.ultralytics else "ONNX alone"),
            ("rewritten for a CPU", f"{manifest.quickened} places"),
            ("compared with its source", checks),
        ],
    )


def evaluation(report: Mapping[str, Any] | None, accuracy: Sequence[Sequence[object]]) -> Iterator[str]:
    """The figures of `vedette model evaluate --json`, and those of labelled samples in use."""
    if report is not None:
        model = report["models"][0]
        rows = [("all", model["all"]), *(model["classes"]).items()]
        rows += [(f"size {name}", one) for name, one in model["sizes"].items()]
        rows += [(f"camera {name}", one) for name, one in model["cameras"].items()]
        yield (
            f"On {plain(report['data'])} ({plain(report['split'])}): {report['images']:,} images, {report['boxes']:,} "
            "labelled boxes, by `vedette model evaluate`:"
        )
        yield table(
            ("", "boxes", "precision", "recall", "F1", "mAP50", "mAP50-95"),
            ([name, *(one.get(figure, "") for figure in _FIGURES)] for name, one in rows),
        )
        p50, p99 = (1e3 * model[f"inference_seconds_{name}"] for name in ("p50", "p99"))
        yield (
            f"{p50:.1f} ms an image (p99 {p99:.1f} ms) "
            f"on {plain(model['provider'])}, {model['memory_bytes'] / 1e6:.0f} MB."
        )
    if accuracy:
        yield "In use here, by labelled samples that were drawn at random (95 of 100 repetitions in brackets):"
        yield table(("", "frames", "labels", "precision", "recall", "F1"), accuracy)


def deployment(name: str, in_force: bool, history: Sequence[Entry]) -> Iterator[str]:
    """How it is put in force and taken back, and whether and since when it is."""
    yield (
        "```sh\n"
        f"vedette model inspect {name}                       # is it read as what it is?\n"
        f"vedette model evaluate {name} --data data.yaml     # --against OTHER.onnx compares\n"
        f"vedette model sign {name} --key release.key --version 2\n"
        f"vedette model deploy {name}                        # verified, tried beside the running one, watched\n"
        f"vedette model history                              # what became of it\n"
        f"vedette model rollback                             # the model before, again\n"
        "```"
    )
    yield f"On this device it is {'**in force**' if in_force else 'not in force'}."
    yield table(("when", "what", "who", "why"), map(_change, history))


def monitoring(settings: Settings, found: bool, references: Sequence[Sequence[object]]) -> Iterator[str]:
    """What watches over it: the config's values (`found`), or else the defaults."""
    drift, samples = settings.drift, settings.samples
    yield f"By {'the config of this device' if found else 'the defaults: no config of a device was found'}:"
    rules = ", ".join(rule.name for rule in settings.rules) or "none"
    yield table(
        ("what", "how"),
        [
            ("drift", f"each window of {duration_text(settings.windows.length)} against a reference of the same hour, "
             f"for {drift.false_alarms_per_month:g} false alarms a month and camera"),
            ("references", f"recorded over {duration_text(drift.reference_length)}"
             f"{' by themselves' if drift.auto_reference else ' on request'}"
             f"{', following what is slow' if drift.living_reference else ''}"),
            ("results", f"golden check every {duration_text(settings.model.golden_every)}"
             if settings.model.golden_every else "golden check off"),
            ("frames worth labelling", f"{samples.per_day} a day and camera" if samples.enabled else "not kept"),
            ("rules of this device", f"{rules}; built-in rules {'on' if settings.alerts.default_rules else 'off'}"),
        ],
    )  # fmt: skip
    yield table(("camera", "reference", "made", "covers", "state"), references)


def changes(entries: Sequence[Entry]) -> Iterator[str]:
    """The logbook of the device, newest first."""
    newest = sorted(entries, key=lambda entry: -entry.at)
    yield table(("when", "what", "who", "why"), map(_change, newest[:MOST_CHANGES]))
    if len(newest) > MOST_CHANGES:
        yield f"{len(newest) - MOST_CHANGES:,} older ones: `vedette log`."


def _change(entry: Entry) -> tuple[str, str, str, str]:
    return day(entry.at), f"{entry.kind}: {entry.what}", entry.who, entry.why


def day(at: float) -> str:
    """`2026-01-31 12:04 UTC`."""
    return f"{datetime.fromtimestamp(at, timezone.utc):%Y-%m-%d %H:%M} UTC"
