"""The default rules, which every box has without a line of config. Each has a page in docs/runbooks."""

from __future__ import annotations

from agent.config.alert_settings import RuleSettings

# The camera's own health check decides on its state, with delays of its own: `for` here only keeps a state that
# comes and goes within seconds from being published.
_CAMERA = (
    RuleSettings(
        name="camera_down",
        when="camera.down for 15s",
        severity="critical",
        advice="Check power, cable, address and password of the camera; the agent keeps trying.",
    ),
    RuleSettings(
        name="camera_ended",
        when="camera.ended",
        severity="info",
        advice="The file or folder was read to its end. Nothing to do, or set loop = true.",
    ),
    RuleSettings(
        name="camera_frozen",
        when="camera.frozen for 10s",
        severity="critical",
        advice="Restart the camera: it keeps sending the same frame.",
    ),
    RuleSettings(
        name="camera_black",
        when="camera.black for 30s",
        severity="critical",
        advice="Check the light, the lens cap and the camera's exposure.",
    ),
    RuleSettings(
        name="camera_covered",
        when="camera.covered for 30s",
        severity="critical",
        advice="Inspect the camera: something is in front of the lens, or it was covered on purpose.",
    ),
    RuleSettings(
        name="camera_blurred",
        when="camera.blurred for 2m",
        advice="Clean the lens and check the focus.",
    ),
    RuleSettings(
        name="camera_fogged",
        when="camera.fogged for 2m",
        advice="Clean and dry the lens or dome; check the heater and the seals. If it is fog in the air, "
        "wait.",
    ),
    RuleSettings(
        name="camera_obstructed",
        when="camera.obstructed for 2m",
        advice="Look at a snapshot: is there a web, a leaf, dirt or a parked van in front of the lens? "
        "Clear the view.",
    ),
    RuleSettings(
        name="camera_overexposed",
        when="camera.overexposed for 2m",
        advice="Check exposure and backlight compensation, and whether the sun or a lamp is in the view.",
    ),
    RuleSettings(
        name="camera_moved",
        when="camera.moved for 1m",
        advice="Compare the view with an earlier snapshot; point the camera back, or record a new reference.",
    ),
    RuleSettings(
        name="camera_slow",
        when="camera.slow for 1m",
        advice="Check the network and the camera's own frame rate.",
    ),
    RuleSettings(
        name="camera_resized",
        when="camera.resized for 1m",
        advice="Restore the old resolution in the camera, or record a new reference for the new one.",
    ),
    RuleSettings(
        name="camera_timestamps",
        when="camera.bad_timestamps for 1m",
        advice="Check the camera's clock and its NTP server, update its firmware, restart it.",
    ),
)

_SPEED = (
    RuleSettings(
        name="no_frames",
        when="camera.fps_in <= 0 for 3m",
        severity="critical",
        advice="The camera is connected but sends no frames: restart it; if that does not help, restart "
        "the agent.",
    ),
    RuleSettings(
        name="latency_p99",
        when="camera.latency_p99_seconds > 1 for 5m",
        clear="0.8",
        advice="Look at the stages: a slow inference points to the model or heat, a long wait to too "
        "many cameras.",
    ),
    RuleSettings(
        name="latency_burn",
        when="burn(camera.latency_seconds > 1, 99%, 1h) > 10",
        severity="critical",
        advice="For an hour one frame in ten has been late: lower `max_fps` or the model's input size, "
        "or cool the box.",
    ),
    RuleSettings(
        name="latency_unusual",
        when="anomaly_high(camera.latency_p99_seconds) > 6 for 15m",
        clear="4",
        severity="info",
        advice="Check what else runs on the box and whether it is throttled; compare with the same hour "
        "of other days.",
    ),
)

_UNUSUAL = (
    RuleSettings(
        name="detections_unusual",
        when="anomaly(camera.detections_per_frame) > 6 for 30m",
        clear="4",
        severity="info",
        advice="Look at a snapshot: has the scene changed, or does the model miss objects?",
    ),
    RuleSettings(
        name="fps_unusual",
        when="anomaly_low(camera.fps_in) > 6 for 15m",
        clear="4",
        severity="info",
        advice="Check the network and the camera's own frame rate.",
    ),
    RuleSettings(
        name="temperature_unusual",
        when="anomaly_high(host.temperature_celsius) > 6 for 30m",
        clear="4",
        severity="info",
        advice="Check fan, dust, sun, and what else runs on the box, before it overheats.",
    ),
    RuleSettings(
        name="memory_unusual",
        when="anomaly_high(host.memory_used_ratio) > 6 for 1h",
        clear="4",
        severity="info",
        advice="Find the process that grows (`systemd-cgtop -m`) before memory is full.",
    ),
)

_HOST = (
    RuleSettings(
        name="host_temperature",
        when="host.temperature_celsius > 85 for 1m",
        clear="80",
        advice="Check fan, dust and sun; near its limit the processor slows down.",
    ),
    RuleSettings(
        name="slowed_by_heat",
        when="host.model_busy_limit_ratio < 100% for 1m",
        keep_firing=60.0,
        advice="Cool the box. Until then the agent processes fewer frames on purpose (frames_dropped).",
    ),
    RuleSettings(
        name="model_implausible",
        when="host.model_implausible",
        severity="critical",
        advice="The model's output is read wrongly, or the model does not fit its input: prepare it "
        "again with `vedette model prepare`, or set model.layout. Until then counts, drift and "
        "alerts on detections are invalid.",
    ),
    RuleSettings(
        name="golden_mismatch",
        when="host.golden_mismatch",
        severity="critical",
        advice="Undo the change (driver, runtime, engine), or copy the model again. If the new results "
        "are right: `vedette model golden --accept`.",
    ),
    RuleSettings(
        name="model_returned",
        when="host.model_returned",
        advice="The previous model is in use again. `vedette model history` has the reason and the "
        "measurements. Fix the model, or change the limit in [deploy] that it failed, and deploy "
        "it again.",
    ),
    RuleSettings(
        name="memory",
        when="host.memory_used_ratio > 92% for 5m",
        clear="88%",
        advice="Find the process that grows (`systemd-cgtop -m`); when memory is full, the kernel kills "
        "a process.",
    ),
    RuleSettings(
        name="memory_limit",
        when="host.memory_limit_used_ratio > 90% for 1m",
        clear="85%",
        advice="Raise MemoryMax of the unit or the container's limit, or run fewer cameras: at the limit "
        "the kernel kills the agent.",
    ),
    RuleSettings(
        name="memory_pressure",
        when="host.pressure_memory_full_ratio > 20% for 2m",
        clear="10%",
        advice="Free memory now (`systemd-cgtop -m`): the agent waits for memory, and the kernel may "
        "soon kill a process.",
    ),
    RuleSettings(
        name="out_of_memory",
        when="rate(host.oom_kills_total, 10m) > 0",
        severity="critical",
        advice="The kernel killed a process of the agent: see `journalctl -k -g oom`. Raise the memory "
        "limit or run fewer cameras.",
    ),
    RuleSettings(
        name="disk",
        when="host.disk_used_ratio > 90% for 5m",
        clear="88%",
        advice="Delete or move old recordings and logs (`journalctl --vacuum-size=200M`).",
    ),
    RuleSettings(
        name="disk_full",
        when="host.disk_used_ratio > 98% for 1m",
        clear="96%",
        severity="critical",
        advice="Free disk space now: state and outbox may no longer be written.",
    ),
    RuleSettings(
        name="gpu_temperature",
        when="gpu.temperature_celsius > 87 for 1m",
        clear="82",
        advice="Check the cooling of the GPU; it slows down near its limit.",
    ),
    RuleSettings(
        name="gpu_throttled",
        when="gpu.throttled for 2m",
        keep_firing=120.0,
        advice="Check the reason: for heat, improve the cooling; for power, use a stronger supply or "
        "another power mode.",
    ),
    RuleSettings(
        name="gpu_lost",
        when="gpu.lost for 10s",
        severity="critical",
        advice="Look for Xid errors in `dmesg`; after a driver upgrade, reboot.",
    ),
    RuleSettings(
        name="gpu_memory_errors",
        when="rate(gpu.ecc_uncorrected_total, 1h) > 0",
        severity="critical",
        advice="Restart the agent; if the errors return, replace the GPU (see `nvidia-smi -q -d ECC`).",
    ),
)

_DRIFT = (
    RuleSettings(
        name="drift",
        when="drift.ratio >= 1",
        clear="0.9",
        repeat=7 * 86400.0,
        advice="Look at a snapshot first: lens, light, view. If the scene changed permanently, retrain: "
        "in full after an abrupt change, incrementally after a gradual one.",
    ),
    RuleSettings(
        name="accuracy_low",
        when="camera.accuracy_estimate_high_ratio < 60% for 5m",
        clear="70%",
        group="accuracy",
        advice="Even the upper end of the estimate is low. `vedette advise` has the cause and what to "
        "do; label some samples to be sure (`vedette samples list`).",
    ),
    RuleSettings(
        name="creep",
        when="drift.creep_sigmas >= 1",
        clear="0.8",
        severity="info",
        repeat=7 * 86400.0,
        group="creep",
        advice="The change was too slow for a drift alarm. Compare an old snapshot with a new one; clean "
        "or focus the camera, or collect samples for training. `vedette reference record` makes "
        "the present state the reference.",
    ),
    RuleSettings(
        name="outliers",
        when="drift.outlier_ratio > 5% for 5m",
        clear="3%",
        severity="info",
        advice="Look at the sampled frames; they are worth labelling.",
    ),
)

_DELIVERY = (
    RuleSettings(
        name="outbox_filling",
        when="host.outbox_used_ratio > 80% for 1m",
        clear="70%",
        advice="Check the connection to the broker. Old windows are merged, then sketches are dropped.",
    ),
    RuleSettings(
        name="outbox_lost",
        when="rate(host.outbox_lost_total, 10m) > 0",
        severity="critical",
        advice="If a topic is named, the broker does not accept its messages: check its size limit and "
        "access rules. Otherwise the outbox was full: check the connection to the broker, or "
        "allow more disk space ([outbox] size).",
    ),
    RuleSettings(
        name="outbox_not_durable",
        when="host.outbox_durable < 1 for 1m",
        severity="critical",
        advice="The state directory cannot be written: check the disk and its permissions.",
    ),
    RuleSettings(
        name="broker_refuses",
        when="host.broker_refused_topics > 0 for 1m",
        advice="Check the broker's access rules for the named topic, and its packet size limit.",
    ),
    RuleSettings(
        name="name_taken",
        when="host.name_taken > 0",
        advice="Give one of the two boxes another device.name; until then their messages are mixed.",
    ),
    RuleSettings(
        name="certificate_ends",
        when="host.certificate_ends > 0",
        advice="Renew the named certificate before that day; the device's own files are read at the next connect.",
    ),
    RuleSettings(
        name="broker_down",
        when="host.broker_connected < 1 for 2m",
        tell="local",
        advice="Check the network, the broker's address and the password; messages wait in the outbox.",
    ),
)


def default_settings(window_seconds: float = 60.0) -> tuple[RuleSettings, ...]:
    """The default rules for windows of `window_seconds`."""
    silent = RuleSettings(
        name="no_summaries",
        when=f"absent(camera.fps_in) for {max(600.0, 5 * window_seconds):g}s",
        severity="critical",
        advice="The worker `analysis` makes no summaries: see the journal, then `systemctl restart vedette`.",
    )
    return (*_CAMERA, *_SPEED, silent, *_UNUSUAL, *_HOST, *_DRIFT, *_DELIVERY)
