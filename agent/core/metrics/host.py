"""Metrics of the box and of the agent's own process."""

from __future__ import annotations

from agent.core.metrics.definition import Alerting, Export, LabelValue, Merge, Metric, Sent

_DISKS = {
    "": LabelValue(words="", exported="state"),
    "root_": LabelValue(words="system ", exported="root"),
}
"""The disk of the state directory, and the one of /."""

_RESOURCES = {name: LabelValue(words=name) for name in ("cpu", "memory", "io")}
_SHARES = {
    "some": LabelValue(words="some tasks wait"),
    "full": LabelValue(words="all tasks wait"),
}
"""The kernel's pressure stall information: at least one task waited, or all at once."""

HOST = (
    Metric(
        "host.cpu_ratio",
        Alerting("processor use", "load"),
        Export("host_cpu_ratio", "Share of the processor in use."),
        sent=Sent.ALWAYS,
    ),
    Metric(
        "host.cpu_clock_hertz",
        export=Export("host_cpu_clock_hertz", "Mean clock of the processor's cores."),
        sent=Sent.COMPLETE,
    ),
    Metric(
        "host.load_1m",
        Alerting("load over one minute", "load", "count"),
        Export("host_load1", "Processes that run or wait, mean of a minute."),
    ),
    Metric(
        "host.load_5m",
        Alerting("load over five minutes", "load", "count"),
        Export("host_load5", "Processes that run or wait, mean of five minutes."),
        sent=Sent.COMPLETE,
    ),
    Metric(
        "host.load_15m",
        Alerting("load over fifteen minutes", "load", "count"),
        Export("host_load15", "Processes that run or wait, mean of fifteen minutes."),
        sent=Sent.COMPLETE,
    ),
    Metric(
        "host.memory_used_bytes",
        Alerting("memory in use", "memory"),
        Export("host_memory_used_bytes", "Memory in use."),
        sent=Sent.COMPLETE,
    ),
    Metric(
        "host.memory_available_bytes",
        Alerting("memory available", "memory"),
        Export("host_memory_available_bytes", "Memory available to programs."),
        sent=Sent.COMPLETE,
    ),
    Metric(
        "host.memory_used_ratio",
        Alerting("memory in use", "memory"),
        Export("host_memory_used_ratio", "Share of the memory in use."),
        sent=Sent.ALWAYS,
    ),
    Metric(
        "host.memory_limit_bytes",
        Alerting("memory limit of the agent", "memory"),
        Export("host_memory_limit_bytes", "Memory limit (MemoryMax, container) that the agent runs under."),
        sent=Sent.COMPLETE,
    ),
    Metric(
        "host.memory_limit_used_ratio",
        Alerting("memory limit of the agent in use", "memory"),
        Export("host_memory_limit_used_ratio", "Share of that limit in use, without file cache."),
    ),
    Metric(
        "host.oom_kills_total",
        Alerting("processes of the agent killed for lack of memory", "memory"),
        Export("host_oom_kills_total", "Processes of the agent that the kernel killed for lack of memory."),
        merge=Merge.LAST,
        sent=Sent.NOT_ZERO,
    ),
    Metric(
        "host.cpu_limit_ratio",
        Alerting("processor limit of the agent", "load"),
        Export(
            "host_cpu_limit_ratio", "Processor seconds a second (CPUQuota, container) allowed to the agent."
        ),
        sent=Sent.COMPLETE,
    ),
    Metric(
        "host.pressure_{resource}_{share}_ratio",
        Alerting("pressure on {resource}: {share}", "load"),
        Export(
            "host_pressure_ratio",
            "Share of the last ten seconds in which some, or all, tasks of the agent (else of the box) waited for it.",
        ),
        labels={"resource": _RESOURCES, "share": _SHARES},
        sent=Sent.COMPLETE,
    ),
    Metric(
        "host.swap_used_bytes",
        export=Export("host_swap_used_bytes", "Swap in use."),
        sent=Sent.COMPLETE,
    ),
    Metric(
        "host.swap_used_ratio",
        Alerting("swap in use", "memory"),
        Export("host_swap_used_ratio", "Share of the swap in use."),
    ),
    Metric(
        "host.{disk}disk_used_bytes",
        Alerting("{disk}disk in use", "disk"),
        Export("host_disk_used_bytes", "Used of the disk of the state directory, or of /."),
        labels={"disk": _DISKS},
        sent=Sent.COMPLETE,
    ),
    Metric(
        "host.{disk}disk_free_bytes",
        Alerting("{disk}disk free", "disk"),
        Export("host_disk_free_bytes", "Free for ordinary users on that disk."),
        labels={"disk": _DISKS},
        sent=Sent.COMPLETE,
    ),
    Metric(
        "host.{disk}disk_used_ratio",
        Alerting("{disk}disk in use", "disk"),
        Export("host_disk_used_ratio", "Share of that disk in use."),
        labels={"disk": _DISKS},
    ),
    Metric(
        "host.network_receive_bytes_per_second",
        Alerting("bytes received a second", "network", "bytes"),
        Export("host_network_receive_bytes_per_second", "Received, all interfaces but lo."),
    ),
    Metric(
        "host.network_transmit_bytes_per_second",
        Alerting("bytes sent a second", "network", "bytes"),
        Export("host_network_transmit_bytes_per_second", "Sent, all interfaces but lo."),
    ),
    Metric(
        "host.temperature_celsius",
        Alerting("temperature", "heat"),
        Export("host_temperature_celsius", "The hottest sensor."),
        sent=Sent.ALWAYS,
    ),
    Metric(
        "host.temperature_{sensor}_celsius",
        Alerting("", "heat"),
        Export("host_sensor_temperature_celsius", "A sensor chip's or thermal zone's temperature."),
        labels={"sensor": r"\w+"},
    ),
    Metric(
        "host.power_watts",
        export=Export("host_power_watts", "Power of the whole board (Jetson)."),
        sent=Sent.ALWAYS,
    ),
    Metric(
        "host.power_{rail}_watts",
        export=Export("host_rail_power_watts", "Power of one rail (Jetson, INA3221)."),
        labels={"rail": r"\w+"},
    ),
    Metric(
        "host.model_busy_limit_ratio",
        Alerting("share of the time that the model may run", "heat"),
        Export(
            "host_model_busy_limit_ratio",
            "Share of the time in which the model may run: below 1 while the box is too hot.",
        ),
        sent=Sent.ALWAYS,
    ),
    Metric(
        "host.model_implausible",
        Alerting("gives boxes that cannot be objects", "model", "state", "boxes of objects"),
        Export("host_model_implausible", "1 while the model's boxes are implausible."),
    ),
    Metric(
        "host.golden_mismatch",
        Alerting(
            "gives other results than when it was first used", "model", "state", "the results recorded then"
        ),
        Export(
            "host_golden_mismatch",
            "1 while the model gives other results on fixed images than when it was first used.",
        ),
    ),
    Metric(
        "host.model_returned",
        Alerting("runs the previous model again", "model", "state", "the deployed model is kept"),
        Export("host_model_returned", "1 for a day after a deployed model was replaced by the previous one."),
    ),
    Metric(
        "host.emc_clock_hertz",
        export=Export("host_emc_clock_hertz", "Clock of the memory controller (Jetson)."),
        sent=Sent.COMPLETE,
    ),
    Metric(
        "host.emc_utilization_ratio",
        export=Export("host_emc_utilization_ratio", "Use of the memory controller (Jetson)."),
    ),
    Metric(
        "host.uptime_seconds",
        Alerting("time since the boot", "load"),
        Export("host_uptime_seconds", "Time since the boot."),
        sent=Sent.COMPLETE,
    ),
    Metric(
        "host.process_cpu_ratio",
        Alerting("processor use of the agent", "load"),
        Export("host_process_cpu_ratio", "CPU seconds per second that the agent uses."),
    ),
    Metric(
        "host.process_threads",
        Alerting("threads of the agent", "load", "count"),
        Export("host_process_threads", "Threads of the agent."),
        sent=Sent.COMPLETE,
    ),
    Metric(
        "host.probe_{probe}_seconds",
        export=Export(
            "probe_duration_seconds", "Time that the last measurement of a probe (host, nvml, tegra) took."
        ),
        labels={"probe": r"\w+"},
        sent=Sent.COMPLETE,
    ),
    Metric(
        "host.process_files",
        Alerting("open files of the agent", "load", "count"),
        doc="Open files of the agent.",
        sent=Sent.COMPLETE,
    ),
    Metric(
        "host.process_memory_bytes",
        Alerting("memory of the agent", "memory"),
        doc="Resident memory of the agent.",
        sent=Sent.ALWAYS,
    ),
    Metric(
        "host.{before}temperature{after}_celsius",
        Alerting("", "heat"),
        labels={"before": r"[a-z0-9_]*", "after": r"[a-z0-9_]*"},
    ),
    Metric("host.network_{field}", Alerting("", "network"), labels={"field": r"[a-z0-9_]+"}),
    Metric("host.probe_{field}", Alerting("", "load"), labels={"field": r"[a-z0-9_]+"}),
)
