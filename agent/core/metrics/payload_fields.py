"""What each payload has that is no metric (identity, texts), or is named more closely here than in the catalogue."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from agent.core.metrics.definition import Sent, unit_of

TEXT, MOMENT, FLAG, OBJECT = "text", "time", "true/false", "object"


@dataclass(frozen=True, kw_only=True)
class PayloadField:
    """A field, or those that a name with `{label}` stands for.

    `unit` is that of a number, or one of TEXT, MOMENT (RFC 3339), FLAG and OBJECT.
    """

    name: str
    unit: str
    doc: str
    sent: Sent = Sent.ALWAYS
    expression: str = ""

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """Matches the names that it stands for, whole."""
        return re.compile(self.expression or re.escape(self.name))

    @property
    def json_types(self) -> tuple[str, ...]:
        """The types of its values in JSON Schema; a number that is none is null, as is a text that was withdrawn."""
        if self.unit == FLAG:
            return ("boolean", "null")
        if self.unit == OBJECT:
            return ("object",)
        return ("string", "null") if self.unit in {TEXT, MOMENT} else ("number", "null")


def _field(name: str, unit: str, doc: str, sent: Sent = Sent.ALWAYS) -> PayloadField:
    expression = re.sub(r"\\\{\w+\\\}", r"\\w+", re.escape(name)) if "{" in name else ""
    return PayloadField(name=name, unit=unit, doc=doc, sent=sent, expression=expression)


def _largest(name: str) -> PayloadField:
    """The largest sample of a window, beside its mean."""
    stem, _, unit = name.rpartition("_")
    return _field(
        f"{stem}_max_{unit}", unit_of(name)[1], f"Largest of the window; `{name}` is the mean.", Sent.COMPLETE
    )


IDENTITY = (
    _field("schema", TEXT, "Family and version of the payload, such as `camera/1`."),
    _field("device", TEXT, "Name of the device."),
    _field(
        "boot",
        TEXT,
        "`<boot>-<epoch>`: the boot of the box, and the epoch, which is new with every new queue file.",
    ),
    _field(
        "seq", "count", "Counts up by one within (device, epoch, family), on and on over restarts and boots."
    ),
    _field("time", MOMENT, "When the message was accepted."),
    _field("clock_synced", FLAG, "Whether the clock could be trusted then."),
    _field(
        "clock_corrected_seconds",
        "seconds",
        "By how much all times were corrected: the clock was synchronised after the message was accepted and before it "
        "was first sent. Only where it was.",
    ),
    _field("lost", "count", "Messages of the family dropped since the last one; only where there are any."),
    _field("merged", "count", "Messages that were merged into this one in the queue; only where they were."),
)
"""In every payload."""

WINDOW = (
    _field("start", MOMENT, "Start of the time that the message covers."),
    _field("end", MOMENT, "End of it."),
)
COMPLETE = _field(
    "complete",
    FLAG,
    "`true` where the message holds every field that there is; else see 'How much is sent'.",
    Sent.NOT_ZERO,
)

OWN: Mapping[str, tuple[PayloadField, ...]] = {
    "status": (
        _field("state", TEXT, "`online`, `degraded` (a camera is not well) or `offline`."),
        _field("since", MOMENT, "Since when."),
        _field("version", TEXT, "Version of the agent."),
        _field("reason", TEXT, "Why it is degraded or offline: the cameras and their states."),
        _field("started_at", MOMENT, "When the agent started."),
        _field(
            "machine",
            TEXT,
            "A piece of a hash of the machine id: another one under the same name is another box.",
        ),
    ),
    "info": (
        _field("version", TEXT, "Version of the agent."),
        _field("started_at", MOMENT, "When the agent started."),
        _field("model_name", TEXT, "Name of the model."),
        _field("model_sha256", TEXT, "Hash of the model's file."),
        _field("model_provider", TEXT, "What runs the model: cpu (ONNX Runtime), cuda, tensorrt, openvino."),
        _field("model_precision", TEXT, "How it multiplies: fp32, fp16, bf16, int8."),
        _field(
            "model_int8_f1_ratio",
            "ratio",
            "F1 that an INT8 model reached by its fp32 source; 0: it is none.",
        ),
        _field("model_runtime", TEXT, "The library that runs it, and its version."),
        _field("model_engine_choice", TEXT, "Why this one runs it, where several were compared; else empty."),
        _field("model_classes", "count", "Classes that the model knows."),
        _field(
            "model_class_names",
            TEXT,
            "Names that a field of a class does not carry as they are, as `detections_4=車`, separated by `; `.",
        ),
        _field("model_layout", TEXT, "How the model writes its boxes (`model.layout`)."),
        _field(
            "model_verification",
            TEXT,
            "Whether its boxes can be objects: `verified`, `unverified` (none found yet) or `implausible`.",
        ),
        _field(
            "model_golden",
            TEXT,
            "Whether it gives on fixed images what it gave when it was taken in use: `agrees`, `differs`, `waiting` "
            "or `off`.",
        ),
        _field(
            "deployment_id",
            TEXT,
            "The deployment of a model on its way, or the last one; empty: there was none.",
        ),
        _field("deployment_model", TEXT, "Name of its model."),
        _field("deployment_version", "count", "Version that its signature states; 0: none."),
        _field(
            "deployment_state",
            TEXT,
            "How far it is: `accepted`, `fetched`, `verified`, `loaded`, `gated`, `shadowed`, `switched`, `probation`, "
            "and at the end `kept`, `returned` or `refused`.",
        ),
        _field("deployment_reason", TEXT, "Why it was returned or refused."),
        _field(
            "deployment_note",
            TEXT,
            "What a person should know of it though it passed: a class of which it finds nothing.",
        ),
        _field("cameras", TEXT, "Names of the cameras, separated by commas."),
        _field("window_seconds", "seconds", "Length of a window (`[windows] length`)."),
        _field("profile", TEXT, "How much is published (`[reports] profile`)."),
        _field("summary_seconds", "seconds", "Time that a message of `camera`, `host` and `gpu` covers."),
        _field("sketch_seconds", "seconds", "Time that a message of `sketch` covers; 0: none are sent."),
        _field("complete_seconds", "seconds", "A complete message comes this often; 0: all are complete."),
        _field(
            "config_sha256", TEXT, "Hash of the config in force, without its secrets: another after a change."
        ),
        _field("config_error", TEXT, "Why the last reload was refused; empty: it was not."),
        _field("restart_needed_for", TEXT, "Keys of the config that were changed and wait for a restart."),
        _field("cpu_model", TEXT, "Name of the processor."),
        _field("cpu_count", "count", "Threads of the processor."),
        _field("cpu_core_count", "count", "Cores of the processor."),
        _field("memory_total_bytes", "bytes", "Memory of the box."),
        _field("machine_model", TEXT, "What the box is."),
        _field("architecture", TEXT, "Machine type of the kernel."),
        _field("kernel_version", TEXT, "Version of the kernel."),
        _field("os_name", TEXT, "Operating system."),
        _field("python_version", TEXT, "Version of Python."),
        _field("gpu_count", "count", "GPUs of the box."),
        _field("gpu_state", TEXT, "Whether they answer: as `gpu_state` in `gpu/<n>`."),
        _field("gpu_driver_version", TEXT, "Version of the NVIDIA driver."),
        _field("gpu_{number}_name", TEXT, "What a GPU is."),
        _field("gpu_{number}_uuid", TEXT, "Which one it is."),
        _field("gpu_{number}_memory_bytes", "bytes", "Its memory."),
        _field("cuda_version", TEXT, "Version of CUDA that the driver knows."),
        _field("jetpack_version", TEXT, "Version of JetPack (Jetson)."),
        _field("power_mode_name", TEXT, "Power mode of the box (Jetson)."),
    ),
    "host": (
        COMPLETE,
        _field("alerts_firing", "count", "Alerts that fire."),
        _field("disk_used_ratio", "ratio", "Share of the state directory's disk in use."),
        _field("root_disk_used_ratio", "ratio", "Share of the disk of / in use.", Sent.CHANGED),
        *map(_largest, ("cpu_ratio", "memory_used_ratio", "temperature_celsius", "power_watts")),
        *map(_largest, ("process_cpu_ratio", "process_memory_bytes")),
        _field("process_uptime_seconds", "seconds", "Time since the agent started.", Sent.COMPLETE),
        _field("model_busy_ratio", "ratio", "Share of the time that the model ran."),
        _field(
            "idle_busy_ratio", "ratio", "Share of the time spent on learning causes of drift.", Sent.NOT_ZERO
        ),
        _field(
            "model_slowed_reason", TEXT, "Why the model may run less: the heat of which part.", Sent.NOT_ZERO
        ),
        _field(
            "probe_{probe}_success_ratio",
            "ratio",
            "Share of the measurements of a probe that were in time.",
            Sent.CHANGED,
        ),
        _field(
            "probe_{probe}_failures_total",
            "total",
            "Measurements of a probe that were late or failed.",
            Sent.CHANGED,
        ),
    ),
    "gpu": (
        COMPLETE,
        _field("name", TEXT, "What the GPU is.", Sent.COMPLETE),
        _field("gpu_name", TEXT, "What the GPU is.", Sent.COMPLETE),
        _field("gpu_state", TEXT, "`ok`, `lost`, `absent` or `driver_mismatch` (reboot needed)."),
        _field("gpu_state_reason", TEXT, "Why, where it is not ok.", Sent.NOT_ZERO),
        _field("throttle_reasons", TEXT, "Reasons seen in the window, separated by commas.", Sent.NOT_ZERO),
        _field("throttled_ratio", "ratio", "Share of the window that it was throttled.", Sent.NOT_ZERO),
        *map(_largest, ("gpu_utilization_ratio", "gpu_memory_used_bytes", "gpu_memory_used_ratio")),
        *map(_largest, ("gpu_own_memory_bytes", "gpu_temperature_celsius", "gpu_power_watts")),
        _field("gpu_mig_{instance}_name", TEXT, "Name of a MIG instance.", Sent.COMPLETE),
    ),
    "camera": (
        COMPLETE,
        _field(
            "state",
            TEXT,
            "State of the camera at the end: `online`, `down`, `frozen`, ... (docs/cameras.md).",
        ),
        _field("state_reason", TEXT, "Why it is in that state.", Sent.NOT_ZERO),
        _field("state_since", MOMENT, "Since when.", Sent.CHANGED),
        _field("light_mode", TEXT, "`day`, `night` or `infrared`, once it is known.", Sent.CHANGED),
        _field("latency_p50_seconds", "seconds", "Median time from capture to result."),
        _field("latency_p99_seconds", "seconds", "99th percentile of the same."),
        _field("{stage}_p50_seconds", "seconds", "Median time of a stage of a frame.", Sent.CHANGED),
        _field("{stage}_p99_seconds", "seconds", "99th percentile of the same.", Sent.CHANGED),
        _field("feature_{feature}_mean", "of the feature", "Mean of a feature in the window.", Sent.CHANGED),
        _field(
            "drift_state",
            TEXT,
            "`normal`, `drift`, `silent`, `learning`, `unusable` or `none` (docs/drift.md).",
        ),
        _field("drift_reason", TEXT, "Why drift is not judged, where it is not.", Sent.CHANGED),
        _field("drift_feature", TEXT, "The feature that stands out most."),
        _field("drift_cause", TEXT, "Most likely cause of the drift (docs/diagnosis.md).", Sent.NOT_ZERO),
        _field("drift_cause_confidence", "0..1", "How sure that is.", Sent.NOT_ZERO),
        _field(
            "drift_cause_also",
            TEXT,
            "A cause that is there besides, where both together explain clearly more.",
            Sent.NOT_ZERO,
        ),
        _field(
            "drift_limit_factor",
            "times",
            "What limits are multiplied by while no alarm is on, since alarms came and went (docs/drift.md).",
            Sent.NOT_ZERO,
        ),
        _field("drift_ks", "0..1", "Kolmogorov-Smirnov distance of `drift_feature`.", Sent.CHANGED),
        _field("drift_psi", "", "Population stability index of `drift_feature`.", Sent.CHANGED),
        _field(
            "drift_ks_limit",
            "0..1",
            "Limit of `drift_ks`; only where the reference is long enough.",
            Sent.COMPLETE,
        ),
        _field("drift_psi_limit", "", "Limit of `drift_psi`; likewise.", Sent.COMPLETE),
        _field("drift_since", MOMENT, "When the alarm went on.", Sent.CHANGED),
        _field("drift_provisional", FLAG, "The reference is short or made of images.", Sent.CHANGED),
        _field("drift_reference", TEXT, "Id of the reference.", Sent.CHANGED),
        _field(
            "frames_outlying",
            "count",
            "Measured frames that are unlike all that the reference knows.",
            Sent.NOT_ZERO,
        ),
    ),
    "sketch": (
        _field("camera", TEXT, "Name of the camera."),
        _field(
            "feature_version", TEXT, "Version of the features: sketches of different ones are not merged."
        ),
        _field("model_sha256", TEXT, "Hash of the model: likewise."),
        _field("frames_sampled", "count", "Frames that were measured."),
        _field("{feature}_kll", TEXT, "Base64 of a DataSketches KLL sketch of a feature's values (floats)."),
        _field("{feature}_step_mean", "of the feature", "Mean change from one measured frame to the next."),
        _field("class_{id}_count", "count", "Boxes of a class."),
    ),
    "accuracy": (
        _field("camera", TEXT, "Name of the camera; absent for all cameras together."),
        _field("model_name", TEXT, "Name of the model that was evaluated."),
        _field("model_sha256", TEXT, "Hash of its file."),
        _field("model_golden", TEXT, "As in `info`, at the time of the message."),
        _field("evaluated_at", MOMENT, "When."),
        _field(
            "frames_labelled", "count", "Labelled samples that were drawn at random: what it is measured by."
        ),
        _field("boxes_labelled", "count", "Boxes that people labelled on them."),
        _field("precision_ratio", "ratio", "Share of the model's boxes that are right."),
        _field(
            "precision_low_ratio",
            "ratio",
            "Above this in 95 of 100 draws; null with fewer than 20 frames.",
        ),
        _field("precision_high_ratio", "ratio", "Below this, likewise."),
        _field("recall_ratio", "ratio", "Share of the labelled boxes that the model found."),
        _field(
            "recall_low_ratio",
            "ratio",
            "Above this in 95 of 100 draws; null with fewer than 20 frames.",
        ),
        _field("recall_high_ratio", "ratio", "Below this, likewise."),
        _field("f1_ratio", "ratio", "Both in one figure: their harmonic mean."),
        _field(
            "f1_low_ratio",
            "ratio",
            "Above this in 95 of 100 draws; null with fewer than 20 frames.",
        ),
        _field("f1_high_ratio", "ratio", "Below this, likewise."),
        _field(
            "frames_corrected",
            "count",
            "Labelled samples that have an accuracy estimate of their own; of a camera alone.",
        ),
        _field(
            "frame_f1_corrected_ratio",
            "ratio",
            "Mean F1 of a frame: the estimate on all frames without labels, corrected by those samples; null with "
            "fewer than 20 of them, or without estimates.",
        ),
        _field("frame_f1_corrected_low_ratio", "ratio", "Above this in 95 of 100 cases."),
        _field("frame_f1_corrected_high_ratio", "ratio", "Below this, likewise."),
    ),
    "advice": (
        _field("camera", TEXT, "Name of the camera."),
        _field(
            "action",
            TEXT,
            "`nothing`, `look`, `mend`, `wait`, `point_back`, `check_model`, `accept`, `record`, `train_on` or "
            "`retrain` (docs/diagnosis.md).",
        ),
        _field("words", TEXT, "The same in words."),
        _field("command", TEXT, "The command that does or begins it."),
        _field("for_it", TEXT, "What speaks for it, separated by `; `."),
        _field("against", TEXT, "What speaks against it, likewise."),
        _field("cause", TEXT, "Most likely cause, as `drift_cause` in `camera/<name>`; empty: not known."),
        _field("cause_confidence", "0..1", "How sure that is."),
        _field("drift_since", MOMENT, "When the alarm went on; null: none is on."),
        _field("features_over", "count", "Features that are over their limits."),
        _field("change", TEXT, "How it came, once that is known: `abrupt` or `gradual`."),
        _field("change_since", MOMENT, "When it began, by the week before; null: not known."),
        _field("returns", TEXT, "`daily` where it comes back at these hours each day; else empty."),
        _field(
            "accuracy_estimate_ratio", "ratio", "As in `camera/<name>`, in steps of 0.05; null: not known."
        ),
        _field("accuracy_estimate_low_ratio", "ratio", "Likewise."),
        _field("accuracy_estimate_high_ratio", "ratio", "Likewise."),
        _field("accuracy_estimate_trust", "0..1", "Likewise."),
        _field(
            "samples_labelled",
            "count",
            "Samples drawn at random since the drift began that were labelled; 0: nothing has checked the estimate.",
        ),
    ),
    "alert": (
        _field("id", TEXT, "Id of the alert; its last segment is new each time that it fires."),
        _field("rule", TEXT, "Name of the rule."),
        _field("state", TEXT, "`firing` or `resolved`."),
        _field("event", TEXT, "What happened to it."),
        _field("severity", TEXT, "`info`, `warning` or `critical`."),
        _field("label_{label}", TEXT, "Where: `label_camera`, `label_gpu`, ..."),
        _field("what", TEXT, "What happened, as a sentence."),
        _field("expected", TEXT, "What was expected."),
        _field("window", TEXT, "The time judged."),
        _field("advice", TEXT, "What to do."),
        _field("runbook", TEXT, "Page to read."),
        _field("value", "of the metric", "The number judged."),
        _field("first_seen", MOMENT, "When the condition was first met."),
        _field("changed_at", MOMENT, "When the alert last changed."),
        _field("evidence", OBJECT, "The other numbers."),
        _field("controls", OBJECT, "What people did: acknowledged, snoozed, muted, limits edited."),
    ),
    "reply": (
        _field("command", TEXT, "Name of the command."),
        _field("id", TEXT, "The id that the sender chose."),
        _field("ok", FLAG, "Whether it was carried out."),
        _field("error", TEXT, "Why not."),
    ),
}
"""By family; it goes before the catalogue."""
