"""Every setting of the agent except those that the camera and notifier kinds declare in their own files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from agent.config.deploy_settings import DeploySettings
from agent.config.fields import seal, setting
from agent.core.errors import ConfigError
from agent.core.polygon import Polygon
from agent.core.scope import Scope
from agent.core.secret import Masked, Secret, split_url


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceSettings:
    """Who this box is, in topics and payloads."""

    name: str = setting(
        "", doc="Name of this device in topics; empty: the host name and a piece of the machine id."
    )
    site: str = setting("default", doc="Site (a group of devices); the second level of every topic.")


LONGEST_PREFIX = 200
"""Bytes: a topic has 65,535, but cloud brokers take 256 to 512 for all of it."""

BROKER_SCHEMES = ("mqtt", "mqtts", "ws", "wss")
_BROKER = "mqtt://HOST:PORT, mqtts://, ws:// or wss://HOST:PORT/PATH"


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerSettings:
    """The MQTT broker that summaries and alerts go to."""

    url: Masked = setting(
        "mqtt://127.0.0.1:1883",
        kind="url",
        doc="mqtt://HOST:PORT, mqtts://HOST:PORT (TLS), ws:// or wss://HOST:PORT/PATH. "
        "A login in it is accepted (signs such as / # ? @ as %2F %23 %3F %40); better: username and password_file.",
    )
    fallback_urls: tuple[Masked, ...] = setting(
        (), kind="url", doc="Further brokers, in order of preference."
    )
    topic_prefix: str = setting("vedette", doc="First level(s) of every topic.")
    username: str = setting("", doc="User name at the broker.")
    password: Secret = setting(
        "",
        kind="secret",
        doc="Password; better: password_file, $VEDETTE_BROKER_PASSWORD or the systemd credential broker_password.",
    )
    password_file: str = setting(
        "", kind="path", doc="File whose first line is the password or token; read at each connect."
    )
    token_command: tuple[Secret, ...] = setting(
        (),
        kind="secret",
        doc="Program and arguments (no shell) that print the password or token, run at each connect, 20 s at most. "
        "A JWT or SAS token is replaced before it ends.",
    )
    auth_method: str = setting(
        "",
        doc="Authentication method of MQTT 5, such as OAUTH2-JWT or CUSTOM-JWT (Azure Event Grid): the password or "
        "token is sent as its data. MQTT 3.1.1 is not tried then.",
    )
    ca_file: str = setting("", kind="path", doc="CA certificates (PEM) for TLS; empty: the system's.")
    cert_file: str = setting("", kind="path", doc="Client certificate (PEM); read at each connect.")
    key_file: str = setting("", kind="path", doc="Client key (PEM); empty: it is in cert_file.")
    key_password_file: str = setting(
        "", kind="path", doc="File whose first line is the password of an encrypted key_file."
    )
    protocol: str = setting(
        "auto", choices=("auto", "5", "3.1.1"), doc="MQTT version; auto tries 5 and falls back to 3.1.1."
    )
    client_id: str = setting(
        "", doc="MQTT client id; empty: fixed, derived from the machine id and, where it is set, device.name."
    )
    keepalive: float = setting(30.0, kind="duration", minimum=5, maximum=3600, doc="MQTT keep-alive.")
    session_expiry: float = setting(
        3600.0,
        kind="duration",
        minimum=0,
        doc="How long the broker keeps our session.",
    )
    message_expiry: float = setting(
        0.0,
        kind="duration",
        minimum=0,
        doc="How long the broker keeps summaries and sketches for subscribers that are away (MQTT 5); 0: for ever.",
    )
    in_flight: int = setting(20, minimum=1, maximum=1000, doc="Unacknowledged messages at most.")
    home_assistant: bool = setting(
        False,
        doc="Announce this device to Home Assistant (MQTT discovery): retained messages under home_assistant_prefix.",
    )
    home_assistant_prefix: str = setting("homeassistant", doc="Home Assistant's discovery prefix.")
    backlog_rate: float = setting(
        500.0,
        minimum=0,
        doc="Messages a second at most while a backlog is sent after an outage; 0: no limit.",
    )

    def __post_init__(self) -> None:
        """Every address must be a broker's."""
        seal(self)
        for key in ("topic_prefix", "home_assistant_prefix"):
            _check_prefix(key, getattr(self, key))
        if self.token_command and (self.password or self.password_file):
            raise ConfigError("is given beside a password", key="token_command", expected="one of the two")
        if self.token_command and not self.token_command[0]:
            raise ConfigError("names no program", key="token_command", expected='such as ["/usr/bin/token"]')
        if self.auth_method and self.protocol == "3.1.1":
            raise ConfigError(
                "needs MQTT 5", key="auth_method", expected='protocol = "5" or "auto" beside it'
            )
        if self.auth_method and not (self.auth_method.isascii() and self.auth_method.isprintable()):
            raise ConfigError("is no name of a method", key="auth_method", expected="such as OAUTH2-JWT")
        for key, url in (("url", self.url), *(("fallback_urls", url) for url in self.fallback_urls)):
            parts = split_url(url.reveal(), key=key, expected=_BROKER)
            if parts.scheme not in BROKER_SCHEMES or not parts.hostname:
                raise ConfigError("is no broker address", key=key, expected=_BROKER)

    @property
    def protocols(self) -> tuple[str, ...]:
        """The MQTT versions that are tried, in order."""
        if self.protocol != "auto":
            return (self.protocol,)
        return ("5",) if self.auth_method else ("5", "3.1.1")


def _check_prefix(key: str, prefix: str) -> None:
    """Raise ConfigError where no message could be published under `prefix`; slashes around it do not count."""
    levels = prefix.strip("/").split("/")
    if not all(levels):
        wrong = "has an empty level"
    elif any(not character.isprintable() or character in "+#" for character in prefix):
        wrong = "has a wildcard (+ or #) or a control character"
    elif prefix.lstrip("/").startswith("$"):
        wrong = "begins with $, which brokers keep for themselves"
    elif len(prefix.encode()) > LONGEST_PREFIX:
        wrong = f"is longer than {LONGEST_PREFIX} bytes"
    else:
        return
    raise ConfigError(wrong, key=key, expected='levels of a topic, as in "vedette" or "factory/line 2"')


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxSettings:
    """The queue on disk between the agent and the broker."""

    size: int = setting(
        64 * 1024 * 1024, kind="size", minimum=1024 * 1024, doc="Disk that the outbox may use."
    )
    commit_interval: float = setting(
        1.0,
        kind="duration",
        minimum=0.0,
        maximum=60.0,
        doc="Messages are committed in batches this often (alerts at once).",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandSettings:
    """Commands over MQTT."""

    enabled: bool = setting(False, doc="Accept commands over MQTT.")
    allow: tuple[str, ...] = setting(
        (), doc='Names of the commands accepted, or "*": all but snapshot, which must be named.'
    )
    rate_per_minute: int = setting(30, minimum=1, doc="Commands carried out a minute at most.")
    max_age: float = setting(60.0, kind="duration", minimum=1, doc="Older commands are refused.")
    reply_prefixes: tuple[str, ...] = setting(
        (),
        doc="Topics below which senders may have answers besides the device's own reply/, such as answers.",
    )


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
class AlertSettings:
    """Settings of all alerts."""

    default_rules: bool = setting(True, doc="false leaves only the rules below; see `vedette rules list`.")
    repeat_critical: float = setting(
        4 * 3600.0,
        kind="duration",
        minimum=0,
        doc="A critical alert that goes on and that nobody acknowledged is notified again this often; 0s: never.",
    )
    repeat_warning: float = setting(86400.0, kind="duration", minimum=0, doc="The same for a warning.")
    repeat_info: float = setting(0.0, kind="duration", minimum=0, doc="The same for an info.")
    runbooks: str = setting(
        "docs/runbooks",
        doc="Where the built-in rules' pages are: what the links in alerts begin with, such as the address of "
        "a wiki. On the box itself `vedette rules show NAME` prints a page.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleSettings:
    """One alert rule."""

    name: str = setting(doc="Name of the rule; that of a default rule replaces it.", example='"too-slow"')
    when: str = setting(
        "",
        doc="Condition: METRIC > NUMBER (or <, >=, <=), absent(METRIC), rate(METRIC), anomaly(METRIC) > Z, "
        "burn(METRIC > TARGET, 99%) > N; `for 5m` may follow. Empty: that of the default rule of this name. "
        "`vedette rules list --metrics` lists metrics.",
        example='"camera.latency_p99_seconds > 0.5"',
    )
    hold: float = setting(
        0.0,
        key="for",
        kind="duration",
        minimum=0,
        doc="The condition must hold this long before the alert fires.",
    )
    keep_firing: float = setting(
        0.0, kind="duration", minimum=0, doc="Goes on firing this long after the condition ended."
    )
    repeat: float = setting(
        0.0,
        kind="duration",
        minimum=0,
        doc="Published again after so long while it fires; 0: as [alerts] has it for its severity.",
    )
    clear: str = setting("", doc="Value at which it resolves, if not the threshold itself (hysteresis).")
    severity: str = setting(
        "", choices=("", "info", "warning", "critical"), doc="How bad it is; empty: warning."
    )
    group: str = setting(
        "", doc="Of one group and camera, only the worst alert is notified; empty: chosen by the metric."
    )
    tell: str = setting(
        "all",
        choices=("all", "local", "journal"),
        doc="Where it goes: all; local: journal and notifiers, not the broker; journal: the journal alone.",
    )
    advice: str = setting("", doc="What to do about it; part of the alert.")
    runbook: str = setting("", doc="Link to a page to read; part of the alert.")
    enabled: bool = setting(True, doc="false switches the rule off.")


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifierSettings:
    """What every notifier has; `kind` decides which further keys it takes."""

    name: str = setting(doc="Name of this notifier, in the journal.", example='"night-shift"')
    kind: str = setting("webhook", doc="Kind of notifier.")
    enabled: bool = setting(True, doc="false keeps the entry but sends nothing.")
    severity: str = setting(
        "warning", choices=("info", "warning", "critical"), doc="Least severity that is sent."
    )
    rules: tuple[str, ...] = setting((), doc="Only alerts of these rules; empty: of all.")
    cameras: tuple[str, ...] = setting((), doc="Only alerts of these cameras; empty: all alerts.")
    group_interval: float = setting(
        15.0,
        kind="duration",
        minimum=0,
        maximum=3600,
        doc="Alerts of this long are gathered into one notice.",
    )
    quiet_hours: str = setting(
        "",
        doc='Local hours in which only critical alerts are sent, the others after: "22:00-06:00, sat-sun".',
    )
    resolved: bool = setting(True, doc="Also notify when an alert is over.")
    picture: bool = setting(False, doc="Attach the last frame, where the kind can: it leaves the box.")
    options: Any = None


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
