"""The whole configuration, and the settings of what comes in and is measured: model, cameras, windows, drift, samples.

Settings of what goes out stand in `delivery_settings`, `alert_settings` and `deploy_settings`, those that a kind of
camera or notifier has of its own in the file of that kind.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from agent.config.alert_settings import AlertSettings, NotifierSettings, RuleSettings
from agent.config.delivery_settings import (
    BrokerSettings,
    CommandSettings,
    DeviceSettings,
    OutboxSettings,
)
from agent.config.deploy_settings import DeploySettings
from agent.config.fields import setting
from agent.core.polygon import Polygon
from agent.core.scope import Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSettings:
    """The detection model and how it runs."""

    path: str = setting(
        "", kind="path", doc="ONNX file of a detection model; empty: the small demo model that ships."
    )
    layout: str = setting(
        "auto",
        choices=("auto", "channels", "transposed", "rows", "end2end", "rtdetr", "queries"),
        doc="How the model writes its boxes; auto: recognised by its output. `vedette check` shows it.",
    )
    names: tuple[str, ...] = setting(
        (), doc="Class names in the order of their numbers, where the model has none or wrong ones."
    )
    pixels: str = setting(
        "auto",
        choices=("auto", "0-1", "0-255"),
        doc="Which values a model of float input takes for black to white; auto: 0-1, or 0-255 where only so it finds "
        "anything on the built-in image.",
    )
    provider: str = setting(
        "auto",
        choices=("auto", "cpu", "cuda", "tensorrt", "openvino"),
        doc="What runs the model; auto: TensorRT if the engine is cached, else CUDA, else the fastest on this CPU, "
        "measured once. cpu is ONNX Runtime, openvino the extra of that name.",
    )
    device_id: int = setting(0, minimum=0, doc="Which GPU.")
    precision: str = setting(
        "auto",
        choices=("auto", "fp32", "fp16", "bf16"),
        doc="How TensorRT (fp32, fp16) and OpenVINO (fp32, bf16) multiply; auto: fp16; of "
        "OpenVINO what is measured to be fastest.",
    )
    cuda_graph: bool = setting(
        False,
        doc="On CUDA, record a run once and replay it: less CPU time a frame. For a model of fixed batch and size "
        "(`vedette model prepare --static`).",
    )
    confidence: float = setting(0.25, minimum=0.001, maximum=1.0, doc="Boxes below this score are dropped.")
    iou: float = setting(
        0.7, minimum=0.0, maximum=1.0, doc="Boxes of a class overlapping more than this are one."
    )
    max_detections: int = setting(300, minimum=1, maximum=10000, doc="Boxes a frame at most.")
    input_size: int = setting(
        0, minimum=0, maximum=4096, doc="Input side in pixels of a dynamic model; 0: its own, else 640."
    )
    max_batch: int = setting(
        8,
        minimum=1,
        maximum=64,
        doc="Frames (of different cameras) a model run at most; fewer where that is faster.",
    )
    batch_wait: float = setting(
        0.004,
        kind="duration",
        minimum=0,
        maximum=1,
        doc="How long to wait for more cameras' frames once one is there.",
    )
    threads: int = setting(
        0, minimum=0, maximum=256, doc="CPU threads of the model in all; 0: one for each core."
    )
    lanes: int = setting(
        0,
        minimum=0,
        maximum=64,
        doc="Frames in work at a time. On the CPU they share the threads: 1 takes the least time for one frame, "
        "more go through in a second with two, the default (0).",
    )
    heat_limit: float = setting(
        95.0,
        minimum=0,
        maximum=120,
        doc="Above this temperature (°C), or when a GPU is throttled by its heat, the model runs less often "
        "until the box has cooled; 0: never.",
    )
    golden_every: float = setting(
        3600.0,
        kind="duration",
        minimum=0,
        maximum=30 * 86400,
        doc="How often the model is run on fixed images, to see that it still gives what it gave when it was taken "
        "in use; 0: never.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraSettings:
    """What every camera has; `kind` decides which further keys it takes."""

    name: str = setting(doc="Name in topics: letters, digits, '-' and '_'.", example='"front"')
    kind: str = setting("stream", doc="Kind of camera.")
    enabled: bool = setting(True, doc="false keeps the entry but leaves the camera alone.")
    max_fps: float = setting(0.0, minimum=0, maximum=1000, doc="Frames a second taken at most; 0: all.")
    motion_gate: float = setting(
        0.0,
        kind="duration",
        minimum=0,
        maximum=3600,
        doc="While nothing moves, run the model only this often (at least feature_fps); 0: on every frame.",
    )
    stall_timeout: float = setting(
        10.0, kind="duration", minimum=0.5, doc="No frame for this long: the camera is down."
    )
    isolate: str = setting(
        "auto",
        choices=("auto", "always", "never"),
        doc="Decode in a process of its own, so that a crash of the decoder ends only that; "
        "auto: once this camera's decoder has crashed the agent.",
    )
    keep_frames: bool = setting(
        True,
        doc="Keep a few dozen small frames of what this camera normally shows on this device, privacy masks black, to "
        "name the cause of a drift; false: none, and those of before are deleted.",
    )
    privacy_masks: tuple[Polygon, ...] = setting(
        (),
        kind="polygons",
        doc="Areas that are black in every frame before anything else gets to it: polygons, each a list of corners "
        "[x, y] in shares of the frame, such as [[[0, 0], [0.3, 0], [0.3, 0.2], [0, 0.2]]].",
    )
    ignore_masks: tuple[Polygon, ...] = setting(
        (),
        kind="polygons",
        doc="Areas that count neither for the camera's health nor for drift nor as motion: a burnt-in clock, a screen, "
        "a tree. The model sees them.",
    )
    include_zones: tuple[Polygon, ...] = setting(
        (),
        kind="polygons",
        doc="Only detections in these areas count: those whose box stands in one with the middle of its lower edge.",
    )
    exclude_zones: tuple[Polygon, ...] = setting(
        (), kind="polygons", doc="Detections in these areas do not count, by the same point."
    )
    classes: tuple[str, ...] = setting((), doc="Names of the classes whose detections count; empty: all.")
    confidence: float = setting(
        0.0, minimum=0, maximum=1, doc="Detections below this score do not count; 0: that of [model]."
    )
    options: Any = None

    @property
    def scope(self) -> Scope:
        """What counts in this camera's frames; a black area is no part of the scene."""
        return Scope(
            ignored=self.privacy_masks + self.ignore_masks,
            included=self.include_zones,
            excluded=self.exclude_zones,
            classes=self.classes,
            confidence=self.confidence,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowSettings:
    """Windows: the time that a summary covers."""

    length: float = setting(60.0, kind="duration", minimum=1, maximum=3600, doc="Length of a window.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportSettings:
    """How much is published of what is measured; rules and alerts do not depend on it."""

    profile: str = setting(
        "normal",
        choices=("lean", "normal", "full"),
        doc="How much is published. full: every field of every window, and its sketches (45 MB a day for four "
        "cameras). normal: each window's figures, the others where they change, sketches by the hour (6 MB). lean: "
        "figures of ten minutes (1 MB).",
    )
    summary_interval: float = setting(
        0.0,
        kind="duration",
        minimum=0,
        maximum=3600,
        doc="Time that a published summary covers; 0: as the profile has it (a window; lean: 10m).",
    )
    complete_interval: float = setting(
        0.0,
        kind="duration",
        minimum=0,
        maximum=86400,
        doc="A summary with every field comes this often; 0: as the profile has it (full: all; normal: 15m; lean: 1h).",
    )
    sketch_interval: float = setting(
        0.0,
        kind="duration",
        minimum=0,
        maximum=86400,
        doc="Time that published sketches cover; 0: as the profile has it (full: a window; else 1h).",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TelemetrySettings:
    """Measuring the box."""

    interval: float = setting(
        1.0, kind="duration", minimum=0.2, maximum=60, doc="How often the box is measured."
    )
    gpu: bool = setting(True, doc="Measure GPUs through NVML.")
    temperatures: bool = setting(True, doc="Read temperature sensors.")


@dataclass(frozen=True, slots=True, kw_only=True)
class PrometheusSettings:
    """Metrics and health over HTTP, for Prometheus; needs the extra `prometheus`."""

    listen: str = setting(
        "",
        kind="listen",
        doc="Serve /metrics, /healthz and /readyz at this ADDRESS:PORT, such as 127.0.0.1:9477; empty: off. "
        "There is no password: keep it on the loopback address or behind a firewall.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftSettings:
    """Drift: comparison of what cameras and model see with a reference."""

    enabled: bool = setting(True, doc="Compare windows with the reference.")
    feature_fps: float = setting(
        2.0, minimum=0.1, maximum=30, doc="Frames a second whose features are measured."
    )
    false_alarms_per_month: float = setting(
        1.0, minimum=0.001, maximum=1000, doc="False drift alarms a camera and month that are acceptable."
    )
    publish_sketches: bool = setting(True, doc="Publish sketches of the features, for merging over a fleet.")
    auto_reference: bool = setting(
        True, doc="Without a reference, record a provisional one from the live camera."
    )
    reference_length: float = setting(
        86400.0,
        kind="duration",
        minimum=10,
        doc="How much an automatically recorded reference covers; a day or more knows every hour.",
    )
    living_reference: bool = setting(
        True,
        doc="A finished reference takes in what was judged normal, day by day; slow changes are reported as creep.",
    )
    learn_share: float = setting(
        0.1,
        minimum=0.01,
        maximum=1.0,
        doc="Share of the time for which causes of drift are learnt at most, on one core at the lowest priority.",
    )
    learn_busy_limit: float = setting(
        0.8,
        minimum=0.0,
        maximum=1.0,
        doc="Causes of drift are learnt only while the model is busy for less than this share of the time.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleSettings:
    """Samples: frames worth labelling, kept in the state directory. Privacy masks are black in them."""

    enabled: bool = setting(
        False, doc="Keep frames that are worth labelling on this device; see `vedette samples`."
    )
    per_day: int = setting(
        40,
        minimum=5,
        maximum=100_000,
        doc="Samples of a camera and day; a fifth of them is drawn at random, to measure how right the model is.",
    )
    size: int = setting(
        1024 * 1024 * 1024,
        kind="size",
        minimum=1024 * 1024,
        doc="Disk that all samples may use; then the oldest go, those with labels last.",
    )
    keep: float = setting(
        30 * 86400.0, kind="duration", minimum=3600, doc="How long samples without labels are kept."
    )
    reasons: tuple[str, ...] = setting(
        (),
        doc="Why frames are chosen: near_threshold, blink, missed, novel, drift, shadow; empty: for all of these.",
    )
    cameras: tuple[str, ...] = setting((), doc="Only frames of these cameras; empty: of all.")
    blur: tuple[str, ...] = setting(
        (), doc='Boxes of these classes are made coarse before anything is written, such as ["person"].'
    )
    encrypt_to: str = setting(
        "",
        kind="path",
        doc="Public key (PEM, X25519) that the images are encrypted to: this device cannot read them then, and "
        "`vedette samples export --key` can. Empty: they are not encrypted.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class MaintenanceSettings:
    """Upkeep of the model while it runs."""

    evaluate_every: float = setting(
        7 * 86400.0,
        kind="duration",
        minimum=0,
        maximum=366 * 86400,
        doc="How often the running model is evaluated on the labelled samples that were drawn at random, where there "
        "are any; also for new labels and for a new model. 0: never.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    """What goes into the journal."""

    level: str = setting(
        "info", choices=("debug", "info", "warning", "error"), doc="Least level that is logged."
    )
    format: str = setting(
        "auto",
        choices=("auto", "journal", "plain", "color"),
        doc="auto: priority prefixes under systemd, colours on a terminal, else plain.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The whole configuration."""

    state_directory: str = setting(
        "",
        kind="path",
        doc="Where state is kept; empty: $STATE_DIRECTORY, else /var/lib/vedette (root), else ~/.local/state/vedette.",
    )
    device: DeviceSettings = DeviceSettings()
    broker: BrokerSettings = BrokerSettings()
    outbox: OutboxSettings = OutboxSettings()
    commands: CommandSettings = CommandSettings()
    model: ModelSettings = ModelSettings()
    deploy: DeploySettings = DeploySettings()
    windows: WindowSettings = WindowSettings()
    reports: ReportSettings = ReportSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    prometheus: PrometheusSettings = PrometheusSettings()
    drift: DriftSettings = DriftSettings()
    samples: SampleSettings = SampleSettings()
    maintenance: MaintenanceSettings = MaintenanceSettings()
    alerts: AlertSettings = AlertSettings()
    log: LogSettings = LogSettings()
    cameras: tuple[CameraSettings, ...] = ()
    rules: tuple[RuleSettings, ...] = ()
    notifiers: tuple[NotifierSettings, ...] = ()
