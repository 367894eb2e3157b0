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
        "`<boot>-<epoch>`: the boot of the box, and the epoch, which changes with every new queue file.",
    ),
    _field("seq", "count", "Increases by one within (device, epoch, family), also over restarts and boots."),
    _field("time", MOMENT, "When the message was accepted."),
    _field("clock_synced", FLAG, "Whether the clock was synchronised then."),
    _field(
        "clock_corrected_seconds",
        "seconds",
        "Correction of all times, if the clock was synchronised after the message was accepted and "
        "before it was first sent; otherwise absent.",
    ),
    _field("lost", "count", "Messages of the family dropped since the last one; absent if there are none."),
    _field(
        "merged", "count", "Messages that were merged into this one in the queue; absent if there are none."
    ),
)
"""In every payload."""

WINDOW = (
    _field("start", MOMENT, "Start of the time that the message covers."),
    _field("end", MOMENT, "End of it."),
)
COMPLETE = _field(
    "complete",
    FLAG,
    "`true` if the message holds every field; otherwise see 'How much is sent'.",
    Sent.NOT_ZERO,
)

OWN: Mapping[str, tuple[PayloadField, ...]] = {
    "status": (
        _field("state", TEXT, "`online`, `degraded` (a camera has a fault) or `offline`."),
        _field("since", MOMENT, "Since when."),
        _field("version", TEXT, "Version of the agent."),
        _field("reason", TEXT, "Why it is degraded or offline: the cameras and their states."),
        _field("started_at", MOMENT, "When the agent started."),
        _field(
            "machine",
            TEXT,
            "Part of a hash of the machine id: another value under the same name is another box.",
        ),
    ),
    "info": (
        _field("version", TEXT, "Version of the agent."),
        _field("started_at", MOMENT, "When the agent started."),
        _field("model_name", TEXT, "Name of the model."),
        _field("model_sha256", TEXT, "Hash of the model's file."),
        _field("model_provider", TEXT, "Execution provider: cpu (ONNX Runtime), cuda, tensorrt, openvino."),
        _field("model_precision", TEXT, "Precision: fp32, fp16, bf16, int8."),
        _field(
            "model_int8_f1_ratio",
            "ratio",
            "F1 of an INT8 model against its fp32 source; 0: not an INT8 model.",
        ),
        _field("model_runtime", TEXT, "Library that runs the model, and its version."),
        _field(
            "model_engine_choice",
            TEXT,
            "Why this engine was chosen, if several were compared; otherwise empty.",
        ),
        _field("model_classes", "count", "Number of the model's classes."),
        _field(
            "model_class_names",
            TEXT,
            "Class names that cannot be part of a field name, as `detections_4=車`, separated by `; `.",
        ),
        _field("model_layout", TEXT, "Layout of the model's output (`model.layout`)."),
        _field(
            "model_verification",
            TEXT,
            "Whether its boxes are plausible objects: `verified`, `unverified` (not decided) or "
            "`implausible`.",
        ),
        _field(
            "model_golden",
            TEXT,
            "Golden check, whether it gives the same results on fixed images as when it was first used: "
            "`agrees`, `differs`, `waiting` or `off`.",
        ),
        _field(
            "deployment_id",
            TEXT,
            "Deployment of a model in progress, or the last one; empty: none.",
        ),
        _field("deployment_model", TEXT, "Name of its model."),
        _field("deployment_version", "count", "Version that its signature states; 0: none."),
        _field(
            "deployment_state",
            TEXT,
            "Its step: `accepted`, `fetched`, `verified`, `loaded`, `gated`, `shadowed`, `switched`, "
            "`probation`, and at the end `kept`, `returned` or `refused`.",
        ),
        _field("deployment_reason", TEXT, "Why it was returned or refused."),
        _field(
            "deployment_note",
            TEXT,
            "A note although it passed: a class of which the model finds nothing.",
        ),
        _field("cameras", TEXT, "Names of the cameras, separated by commas."),
        _field("window_seconds", "seconds", "Length of a window (`[windows] length`)."),
        _field("profile", TEXT, "Profile of what is published (`[reports] profile`)."),
        _field("summary_seconds", "seconds", "Time that a message of `camera`, `host` and `gpu` covers."),
        _field("sketch_seconds", "seconds", "Time that a message of `sketch` covers; 0: none are sent."),
        _field("complete_seconds", "seconds", "A complete message comes this often; 0: all are complete."),
        _field(
            "config_sha256", TEXT, "Hash of the config in force, without secrets; changes with the config."
        ),
        _field("config_error", TEXT, "Why the last reload was refused; empty: it was accepted."),
        _field("restart_needed_for", TEXT, "Changed keys of the config that need a restart."),
        _field("cpu_model", TEXT, "Name of the processor."),
        _field("cpu_count", "count", "Threads of the processor."),
        _field("cpu_core_count", "count", "Cores of the processor."),
        _field("memory_total_bytes", "bytes", "Memory of the box."),
        _field("machine_model", TEXT, "Model of the box."),
        _field("architecture", TEXT, "Machine type of the kernel."),
        _field("kernel_version", TEXT, "Version of the kernel."),
        _field("os_name", TEXT, "Operating system."),
        _field("python_version", TEXT, "Version of Python."),
        _field("gpu_count", "count", "GPUs of the box."),
        _field("gpu_state", TEXT, "State of the GPUs, as `gpu_state` in `gpu/<n>`."),
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
        _field("model_busy_ratio", "ratio", "Share of the time in which the model ran."),
        _field(
            "idle_busy_ratio", "ratio", "Share of the time spent on learning causes of drift.", Sent.NOT_ZERO
        ),
        _field("model_slowed_reason", TEXT, "Which temperature makes the model run less.", Sent.NOT_ZERO),
        _field(
            "probe_{probe}_success_ratio",
            "ratio",
            "Share of a probe's measurements that were in time.",
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
        _field("gpu_state_reason", TEXT, "The reason, if the state is not ok.", Sent.NOT_ZERO),
        _field("throttle_reasons", TEXT, "Reasons seen in the window, separated by commas.", Sent.NOT_ZERO),
        _field("throttled_ratio", "ratio", "Share of the window in which it was throttled.", Sent.NOT_ZERO),
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
        _field("drift_reason", TEXT, "Why drift is not judged; otherwise empty.", Sent.CHANGED),
        _field("drift_feature", TEXT, "The feature that changed most."),
        _field("drift_cause", TEXT, "Most likely cause of the drift (docs/diagnosis.md).", Sent.NOT_ZERO),
        _field("drift_cause_confidence", "0..1", "Confidence in the cause.", Sent.NOT_ZERO),
        _field(
            "drift_cause_also",
            TEXT,
            "A second cause, if both together explain clearly more.",
            Sent.NOT_ZERO,
        ),
        _field(
            "drift_limit_factor",
            "times",
            "Factor on all limits while no alarm is on, raised by alarms that ended by themselves "
            "(docs/drift.md).",
            Sent.NOT_ZERO,
        ),
        _field("drift_ks", "0..1", "Kolmogorov-Smirnov distance of `drift_feature`.", Sent.CHANGED),
        _field("drift_psi", "", "Population stability index of `drift_feature`.", Sent.CHANGED),
        _field(
            "drift_ks_limit",
            "0..1",
            "Limit of `drift_ks`; only if the reference is long enough.",
            Sent.COMPLETE,
        ),
        _field("drift_psi_limit", "", "Limit of `drift_psi`; likewise.", Sent.COMPLETE),
        _field("drift_since", MOMENT, "When the alarm began.", Sent.CHANGED),
        _field("drift_provisional", FLAG, "The reference is short or made of images.", Sent.CHANGED),
        _field("drift_reference", TEXT, "Id of the reference.", Sent.CHANGED),
        _field(
            "frames_outlying",
            "count",
            "Measured frames that are unlike everything in the reference.",
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
        _field("frames_labelled", "count", "Labelled audit samples on which it is measured."),
        _field("boxes_labelled", "count", "Boxes that people labelled on them."),
        _field("precision_ratio", "ratio", "Share of the model's boxes that are correct."),
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
        _field("f1_ratio", "ratio", "Harmonic mean of precision and recall."),
        _field(
            "f1_low_ratio",
            "ratio",
            "Above this in 95 of 100 draws; null with fewer than 20 frames.",
        ),
        _field("f1_high_ratio", "ratio", "Below this, likewise."),
        _field(
            "frames_corrected",
            "count",
            "Labelled samples with an accuracy estimate; only per camera.",
        ),
        _field(
            "frame_f1_corrected_ratio",
            "ratio",
            "Mean F1 per frame: the estimate on all frames without labels, corrected by those samples; "
            "null with fewer than 20 of them, or without estimates.",
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
        _field("words", TEXT, "The action as a sentence."),
        _field("command", TEXT, "The command for the action."),
        _field("for_it", TEXT, "Reasons for it, separated by `; `."),
        _field("against", TEXT, "Reasons against it, likewise."),
        _field("cause", TEXT, "Most likely cause, as `drift_cause` in `camera/<name>`; empty: not known."),
        _field("cause_confidence", "0..1", "Confidence in the cause."),
        _field("drift_since", MOMENT, "When the alarm began; null: no alarm is on."),
        _field("features_over", "count", "Features that are over their limits."),
        _field("change", TEXT, "Course of the drift, once known: `abrupt` or `gradual`."),
        _field("change_since", MOMENT, "When the drift began, judged by the week before; null: not known."),
        _field("returns", TEXT, "`daily` if it returns at these hours each day; otherwise empty."),
        _field(
            "accuracy_estimate_ratio", "ratio", "As in `camera/<name>`, in steps of 0.05; null: not known."
        ),
        _field("accuracy_estimate_low_ratio", "ratio", "Likewise."),
        _field("accuracy_estimate_high_ratio", "ratio", "Likewise."),
        _field("accuracy_estimate_trust", "0..1", "Likewise."),
        _field(
            "samples_labelled",
            "count",
            "Labelled audit samples since the drift began; 0: no label has checked the estimate.",
        ),
    ),
    "alert": (
        _field("id", TEXT, "Id of the alert; its last segment is new each time the alert fires."),
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
        _field("controls", OBJECT, "Controls by people: acknowledged, snoozed, muted, changed limits."),
    ),
    "reply": (
        _field("command", TEXT, "Name of the command."),
        _field("id", TEXT, "The id that the sender chose."),
        _field("ok", FLAG, "Whether the command was executed."),
        _field("error", TEXT, "Why not."),
    ),
}
"""By family; it goes before the catalogue."""
