"""Metrics of a GPU."""

from __future__ import annotations

from agent.core.metrics.definition import Alerting, Export, Merge, Metric, Sent

GPU = (
    Metric(
        "gpu.lost",
        Alerting("is lost", "gpu", "state", "an answer from it"),
        Export("gpu_lost", "1 if the GPU does not answer (see vedette_gpu_state)."),
        sent=Sent.ALWAYS,
    ),
    Metric(
        "",
        export=Export(
            "gpu_state",
            "1 for the state that the GPU is in: ok, lost, absent, driver_mismatch (reboot needed).",
            labels=("gpu", "state"),
        ),
    ),
    Metric(
        "gpu.utilization_ratio",
        Alerting("use", "load"),
        Export("gpu_utilization_ratio", "Share of the last second in which a kernel ran."),
        sent=Sent.ALWAYS,
    ),
    Metric(
        "gpu.memory_activity_ratio",
        export=Export(
            "gpu_memory_activity_ratio", "Share of the last second in which memory was read or written."
        ),
        sent=Sent.COMPLETE,
    ),
    Metric(
        "gpu.memory_used_bytes",
        Alerting("memory in use", "memory"),
        Export("gpu_memory_used_bytes", "GPU memory in use."),
        sent=Sent.COMPLETE,
    ),
    Metric(
        "gpu.memory_total_bytes",
        export=Export("gpu_memory_bytes", "Total GPU memory."),
        sent=Sent.COMPLETE,
    ),
    Metric(
        "gpu.memory_used_ratio",
        Alerting("memory in use", "memory"),
        Export("gpu_memory_used_ratio", "Share of the GPU memory in use."),
        sent=Sent.ALWAYS,
    ),
    Metric(
        "gpu.own_memory_bytes",
        Alerting("memory of the agent", "memory"),
        Export("gpu_own_memory_bytes", "GPU memory of the agent itself."),
        sent=Sent.COMPLETE,
    ),
    Metric(
        "gpu.temperature_celsius",
        Alerting("temperature", "heat"),
        Export("gpu_temperature_celsius", "Temperature."),
        sent=Sent.ALWAYS,
    ),
    Metric(
        "gpu.power_watts",
        Alerting("power", "heat"),
        Export("gpu_power_watts", "Power."),
        sent=Sent.ALWAYS,
    ),
    Metric("gpu.power_limit_watts", export=Export("gpu_power_limit_watts", "The power limit in force.")),
    Metric(
        "gpu.clock_sm_hertz",
        Alerting("clock", "throttle"),
        Export("gpu_clock_sm_hertz", "Clock of the multiprocessors."),
    ),
    Metric(
        "gpu.clock_sm_limit_hertz",
        export=Export("gpu_clock_sm_limit_hertz", "The highest clock of the multiprocessors."),
        sent=Sent.COMPLETE,
    ),
    Metric(
        "gpu.clock_memory_hertz",
        export=Export("gpu_clock_memory_hertz", "Clock of the memory."),
        sent=Sent.COMPLETE,
    ),
    Metric("gpu.performance_state", export=Export("gpu_performance_state", "P0 (fastest) to P15.")),
    Metric(
        "gpu.throttled",
        Alerting("is throttled", "throttle", "state", "full clocks"),
        Export("gpu_throttled", "1 while the GPU is throttled."),
        sent=Sent.ALWAYS,
    ),
    Metric(
        "",
        export=Export(
            "gpu_throttle_reason",
            "1 for each present reason for throttling.",
            labels=("gpu", "reason"),
        ),
    ),
    Metric(
        "gpu.idle_ratio",
        export=Export("gpu_idle", "1 while clocks are low because the GPU is idle."),
        doc="Share of the window in which clocks were low because the GPU was idle.",
    ),
    Metric(
        "gpu.encoder_ratio",
        Alerting("use of the encoder", "load"),
        Export("gpu_encoder_ratio", "Use of the video encoder."),
    ),
    Metric(
        "gpu.decoder_ratio",
        Alerting("use of the decoder", "load"),
        Export("gpu_decoder_ratio", "Use of the video decoder."),
    ),
    Metric(
        "gpu.fan_ratio",
        Alerting("fan speed", "heat"),
        Export("gpu_fan_ratio", "Fan speed, share of its highest."),
    ),
    Metric(
        "gpu.ecc_corrected_total",
        Alerting("memory errors corrected", "gpu"),
        Export("gpu_ecc_corrected_errors_total", "Memory errors corrected."),
        merge=Merge.LAST,
    ),
    Metric(
        "gpu.ecc_uncorrected_total",
        Alerting("memory errors not corrected", "gpu"),
        Export("gpu_ecc_uncorrected_errors_total", "Memory errors not corrected."),
        merge=Merge.LAST,
    ),
    Metric(
        "gpu.over_current_events_total",
        Alerting("over-current events", "throttle"),
        Export("gpu_over_current_events_total", "Over-current events (Jetson)."),
        merge=Merge.LAST,
    ),
    Metric("gpu.pcie_generation", export=Export("gpu_pcie_generation", "PCIe generation of the link now.")),
    Metric("gpu.pcie_width", export=Export("gpu_pcie_width", "PCIe lanes of the link now.")),
    Metric(
        "gpu.pcie_receive_bytes_per_second",
        export=Export("gpu_pcie_receive_bytes_per_second", "Received over PCIe."),
        sent=Sent.COMPLETE,
    ),
    Metric(
        "gpu.pcie_transmit_bytes_per_second",
        export=Export("gpu_pcie_transmit_bytes_per_second", "Sent over PCIe."),
        sent=Sent.COMPLETE,
    ),
    Metric("gpu.mig_mode", export=Export("gpu_mig_mode", "1 if the GPU is split (MIG).")),
    Metric(
        "gpu.mig_{instance}_memory_used_bytes",
        export=Export("gpu_mig_memory_used_bytes", "Memory in use of a MIG instance.", labels=("name",)),
        labels={"instance": r"\d+"},
        sent=Sent.COMPLETE,
    ),
    Metric(
        "gpu.mig_{instance}_memory_total_bytes",
        export=Export("gpu_mig_memory_bytes", "Memory of a MIG instance.", labels=("name",)),
        labels={"instance": r"\d+"},
        sent=Sent.COMPLETE,
    ),
    Metric(
        "gpu.mig_{instance}_memory_used_ratio",
        export=Export("gpu_mig_memory_used_ratio", "Share of it in use."),
        labels={"instance": r"\d+"},
    ),
    Metric(
        "gpu.{before}temperature{after}_celsius",
        Alerting("", "heat"),
        labels={"before": r"[a-z0-9_]*", "after": r"[a-z0-9_]*"},
    ),
    Metric("gpu.probe_{field}", Alerting("", "load"), labels={"field": r"[a-z0-9_]+"}),
)
