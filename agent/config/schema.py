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

    path: str = setting("", kind="path", doc="ONNX file of a detection model; empty: the small demo model.")
    layout: str = setting(
        "auto",
        choices=("auto", "channels", "transposed", "rows", "end2end", "rtdetr", "queries"),
        doc="Layout of the model's output; auto: recognised when the model is opened. `vedette check` "
        "shows it.",
    )
    names: tuple[str, ...] = setting(
        (), doc="Class names in the order of their numbers, if the model has none or wrong ones."
    )
    pixels: str = setting(
        "auto",
        choices=("auto", "0-1", "0-255"),
        doc="Pixel values from black to white for a model with float input; auto: 0-1, or 0-255 if the "
        "model finds objects on the built-in image only with these.",
    )
    provider: str = setting(
        "auto",
        choices=("auto", "cpu", "cuda", "tensorrt", "openvino"),
        doc="Execution provider; auto: TensorRT if the engine is cached, else CUDA, else the fastest on "
        "this CPU, measured once. cpu is ONNX Runtime; openvino needs the extra of that name.",
    )
    device_id: int = setting(0, minimum=0, doc="Number of the GPU.")
    precision: str = setting(
        "auto",
        choices=("auto", "fp32", "fp16", "bf16"),
        doc="Precision of TensorRT (fp32, fp16) and OpenVINO (fp32, bf16); auto: fp16 for TensorRT, the "
        "fastest as measured for OpenVINO.",
    )
    cuda_graph: bool = setting(
        False,
        doc="On CUDA, record a run once and replay it: less CPU time per frame. Needs a model with fixed "
        "batch and size (`vedette model prepare --static`).",
    )
    confidence: float = setting(0.25, minimum=0.001, maximum=1.0, doc="Boxes below this score are dropped.")
    iou: float = setting(
        0.7, minimum=0.0, maximum=1.0, doc="Boxes of one class with an IoU above this count as one object."
    )
    max_detections: int = setting(300, minimum=1, maximum=10000, doc="Most boxes per frame.")
    input_size: int = setting(
        0,
        minimum=0,
        maximum=4096,
        doc="Input side in pixels for a model with free size; 0: the side in its metadata, else 640.",
    )
    max_batch: int = setting(
        8,
        minimum=1,
        maximum=64,
        doc="Most frames (of different cameras) in one run of the model; fewer are used if that is faster.",
    )
    batch_wait: float = setting(
        0.004,
        kind="duration",
        minimum=0,
        maximum=1,
        doc="How long to wait for frames of more cameras before a run.",
    )
    threads: int = setting(
        0, minimum=0, maximum=256, doc="CPU threads for the model, all lanes together; 0: one for each core."
    )
    lanes: int = setting(
        0,
        minimum=0,
        maximum=64,
        doc="Model runs at a time; on the CPU they share the threads. 1 gives the shortest time for one "
        "frame; two, the default (0), give more frames a second.",
    )
    heat_limit: float = setting(
        95.0,
        minimum=0,
        maximum=120,
        doc="Above this temperature (°C), or while a GPU throttles because of heat, the model runs less "
        "often until the box has cooled; 0: never.",
    )
    golden_every: float = setting(
        3600.0,
        kind="duration",
        minimum=0,
        maximum=30 * 86400,
        doc="How often the golden check runs the model on fixed images and compares the results with "
        "those of its first use; 0: never.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraSettings:
    """What every camera has; `kind` decides which further keys it takes."""

    name: str = setting(doc="Name in topics: letters, digits, '-' and '_'.", example='"front"')
    kind: str = setting("stream", doc="Kind of camera.")
    enabled: bool = setting(True, doc="false keeps the entry but does not open the camera.")
    max_fps: float = setting(0.0, minimum=0, maximum=1000, doc="Most frames a second to process; 0: all.")
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
        doc="Decode in a separate process, so that a crash of the decoder ends only that process; auto: "
        "after this camera's decoder has crashed the agent.",
    )
    keep_frames: bool = setting(
        True,
        doc="Keep a few dozen small frames of what this camera normally shows on this device, with "
        "privacy masks black, to find the cause of a drift; false: keep none, and delete existing "
        "ones.",
    )
    privacy_masks: tuple[Polygon, ...] = setting(
        (),
        kind="polygons",
        doc="Areas that are made black in every frame before it is used: polygons, each a list of "
        "corners [x, y] as shares of the frame, such as [[[0, 0], [0.3, 0], [0.3, 0.2], [0, 0.2]]].",
    )
    ignore_masks: tuple[Polygon, ...] = setting(
        (),
        kind="polygons",
        doc="Areas that are ignored for camera health, drift and motion: a burnt-in clock, a screen, a "
        "tree. The model still sees them.",
    )
    include_zones: tuple[Polygon, ...] = setting(
        (),
        kind="polygons",
        doc="Only detections in these areas count; the middle of a box's lower edge decides.",
    )
    exclude_zones: tuple[Polygon, ...] = setting(
        (), kind="polygons", doc="Detections in these areas do not count; the same point decides."
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
        doc="How much is published. full: every field and sketch of every window (45 MB a day for four "
        "cameras). normal: the main figures of each window, other fields when they change, sketches "
        "every hour (6 MB). lean: figures every ten minutes (1.4 MB).",
    )
    summary_interval: float = setting(
        0.0,
        kind="duration",
        minimum=0,
        maximum=3600,
        doc="Time that a published summary covers; 0: given by the profile (a window; lean: 10m).",
    )
    complete_interval: float = setting(
        0.0,
        kind="duration",
        minimum=0,
        maximum=86400,
        doc="How often a summary has every field; 0: given by the profile (full: all; normal: 15m; lean: 1h).",
    )
    sketch_interval: float = setting(
        0.0,
        kind="duration",
        minimum=0,
        maximum=86400,
        doc="Time that published sketches cover; 0: given by the profile (full: a window; else 1h).",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TelemetrySettings:
    """Measuring the box."""

    interval: float = setting(
        1.0, kind="duration", minimum=0.2, maximum=60, doc="How often host and GPU are measured."
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
        1.0, minimum=0.001, maximum=1000, doc="Acceptable false drift alarms per camera and month."
    )
    publish_sketches: bool = setting(True, doc="Publish sketches of the features, for merging over a fleet.")
    auto_reference: bool = setting(
        True, doc="Without a reference, record a provisional one from the live camera."
    )
    reference_length: float = setting(
        86400.0,
        kind="duration",
        minimum=10,
        doc="Time that an automatically recorded reference covers; at least a day is needed to cover "
        "every hour, and no more is recorded than 40,320 windows (28 days of minutes).",
    )
    living_reference: bool = setting(
        True,
        doc="Update a finished reference day by day with what was judged normal; slow changes are "
        "reported as creep. One of less than a week is built anew of longer recordings of what was judged "
        "normal, until its limits rest on a week.",
    )
    learn_share: float = setting(
        0.1,
        minimum=0.01,
        maximum=1.0,
        doc="Largest share of the time for learning causes of drift, on one core at the lowest priority.",
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
        doc="Samples per camera and day; a fifth of them is drawn at random, to measure the model's accuracy.",
    )
    size: int = setting(
        1024 * 1024 * 1024,
        kind="size",
        minimum=1024 * 1024,
        doc="Disk space for all samples; when it is used up, the oldest are deleted, labelled ones last.",
    )
    keep: float = setting(
        30 * 86400.0, kind="duration", minimum=3600, doc="How long samples without labels are kept."
    )
    reasons: tuple[str, ...] = setting(
        (),
        doc="Reasons for which frames are kept: near_threshold, blink, missed, novel, drift, shadow; "
        "empty: all of these.",
    )
    cameras: tuple[str, ...] = setting((), doc="Only frames of these cameras; empty: all cameras.")
    blur: tuple[str, ...] = setting(
        (), doc='Boxes of these classes are pixelated before anything is written, such as ["person"].'
    )
    encrypt_to: str = setting(
        "",
        kind="path",
        doc="Public key (PEM, X25519) for encrypting the images: then only `vedette samples export "
        "--key` can read them, not this device. Empty: no encryption.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class MaintenanceSettings:
    """Upkeep of the model while it runs."""

    evaluate_every: float = setting(
        7 * 86400.0,
        kind="duration",
        minimum=0,
        maximum=366 * 86400,
        doc="How often the running model is evaluated on labelled audit samples, if there are any; also "
        "after new labels and for a new model. 0: never.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    """What goes into the journal."""

    level: str = setting(
        "info", choices=("debug", "info", "warning", "error"), doc="Lowest level that is logged."
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
