"""One box: host, GPU, delivery, the agent itself."""

from __future__ import annotations

from common import (
    BOX,
    CONNECTED,
    HEAT,
    INSTANCE,
    JOB,
    NONE_IS_GOOD,
    ON_OFF,
    SHARE,
    WINDOWED,
    WORKING,
    alerts_as_marks,
)
from model import (
    PROMETHEUS,
    dashboard,
    promql,
    series,
    stat,
    timeline,
)

DASHBOARD = dashboard(
    uid="vedette-device",
    title="Vedette: device",
    help="One device: processor, memory, disks, temperature, power, GPUs, delivery, and the agent's own usage.",
    source=PROMETHEUS,
    variables=[JOB, INSTANCE],
    annotations=[alerts_as_marks(BOX)],
    rows=[
        (
            "Now",
            [
                stat("Agent", promql(f"vedette_ready{{{BOX}}}"), defaults=WORKING),
                stat("Broker", promql(f"vedette_broker_connected{{{BOX}}}"), defaults=CONNECTED),
                stat("Alerts firing", promql(f"sum(vedette_alerts_firing{{{BOX}}})"), defaults=NONE_IS_GOOD),
                stat("Up since the boot", promql(f"vedette_host_uptime_seconds{{{BOX}}}"), unit="s"),
                stat(
                    "Agent runs since",
                    promql(f"time() - process_start_time_seconds{{{BOX}}}"),
                    unit="s",
                ),
                stat(
                    "Version",
                    promql(f"vedette_build_info{{{BOX}}}", "{{version}}"),
                    options={"textMode": "name", "graphMode": "none"},
                ),
            ],
        ),
        (
            "Host",
            [
                series(
                    "Processor",
                    promql(f"vedette_host_cpu_ratio{{{BOX}}}", "in use"),
                    unit="percentunit",
                    defaults=SHARE,
                ),
                series(
                    "Memory",
                    promql(f"vedette_host_memory_used_bytes{{{BOX}}}", "in use"),
                    promql(f"vedette_host_memory_available_bytes{{{BOX}}}", "available"),
                    unit="bytes",
                    stacked=True,
                ),
                series(
                    "Load",
                    promql(f"vedette_host_load1{{{BOX}}}", "1 min"),
                    promql(f"vedette_host_load15{{{BOX}}}", "15 min"),
                ),
                series(
                    "Disks",
                    promql(f"vedette_host_disk_used_ratio{{{BOX}}}", "{{disk}}"),
                    unit="percentunit",
                    defaults=SHARE,
                ),
                series(
                    "Network",
                    promql(f"vedette_host_network_receive_bytes_per_second{{{BOX}}}", "received"),
                    promql(f"vedette_host_network_transmit_bytes_per_second{{{BOX}}}", "sent"),
                    unit="Bps",
                ),
                series(
                    "Temperatures",
                    promql(f"vedette_host_sensor_temperature_celsius{{{BOX}}}", "{{sensor}}"),
                    unit="celsius",
                    defaults=HEAT,
                ),
            ],
        ),
        (
            "GPU",
            [
                timeline(
                    "GPU state",
                    promql(f"vedette_gpu_lost{{{BOX}}}", "GPU {{gpu}} lost"),
                    promql(f"vedette_gpu_throttled{{{BOX}}}", "GPU {{gpu}} throttled"),
                    defaults=ON_OFF,
                ),
                series(
                    "Use",
                    promql(f"vedette_gpu_utilization_ratio{{{BOX}}}", "GPU {{gpu}}"),
                    unit="percentunit",
                    defaults={"min": 0, "max": 1},
                ),
                series(
                    "GPU memory",
                    promql(f"vedette_gpu_memory_used_bytes{{{BOX}}}", "GPU {{gpu}} in use"),
                    promql(f"vedette_gpu_memory_bytes{{{BOX}}}", "GPU {{gpu}} there is"),
                    promql(f"vedette_gpu_own_memory_bytes{{{BOX}}}", "GPU {{gpu}} the agent's"),
                    unit="bytes",
                ),
                series(
                    "GPU temperature",
                    promql(f"vedette_gpu_temperature_celsius{{{BOX}}}", "GPU {{gpu}}"),
                    unit="celsius",
                    defaults=HEAT,
                ),
                series(
                    "GPU power",
                    promql(f"vedette_gpu_power_watts{{{BOX}}}", "GPU {{gpu}}"),
                    promql(f"vedette_gpu_power_limit_watts{{{BOX}}}", "GPU {{gpu}} limit"),
                    unit="watt",
                ),
                series(
                    "Clocks",
                    promql(f"vedette_gpu_clock_sm_hertz{{{BOX}}}", "GPU {{gpu}}"),
                    promql(f"vedette_gpu_clock_sm_limit_hertz{{{BOX}}}", "GPU {{gpu}} limit"),
                    unit="hertz",
                    help="An idle GPU clocks down, which makes single frames slow.",
                ),
                series(
                    "Why it is throttled",
                    promql(f"vedette_gpu_throttle_reason{{{BOX}}}", "GPU {{gpu}} {{reason}}"),
                    defaults={"min": 0, "max": 1},
                ),
                series(
                    "Encoder and decoder",
                    promql(f"vedette_gpu_decoder_ratio{{{BOX}}}", "GPU {{gpu}} decoder"),
                    promql(f"vedette_gpu_encoder_ratio{{{BOX}}}", "GPU {{gpu}} encoder"),
                    unit="percentunit",
                    defaults={"min": 0, "max": 1},
                ),
                series(
                    "Memory errors in an hour",
                    promql(
                        f"increase(vedette_gpu_ecc_corrected_errors_total{{{BOX}}}[1h])",
                        "GPU {{gpu}} corrected",
                    ),
                    promql(
                        f"increase(vedette_gpu_ecc_uncorrected_errors_total{{{BOX}}}[1h])",
                        "GPU {{gpu}} not corrected",
                    ),
                    defaults={"min": 0},
                ),
            ],
        ),
        (
            "Jetson",
            [
                series(
                    "Power",
                    promql(f"vedette_host_power_watts{{{BOX}}}", "board"),
                    promql(f"vedette_host_rail_power_watts{{{BOX}}}", "{{rail}}"),
                    unit="watt",
                ),
                series(
                    "Memory controller",
                    promql(f"vedette_host_emc_utilization_ratio{{{BOX}}}", "in use"),
                    unit="percentunit",
                    defaults={"min": 0, "max": 1},
                ),
                series(
                    "Over-current events in an hour",
                    promql(f"increase(vedette_gpu_over_current_events_total{{{BOX}}}[1h])", "events"),
                    defaults={"min": 0},
                ),
            ],
        ),
        (
            "Delivery and the agent",
            [
                series(
                    "Messages waiting",
                    promql(f"vedette_outbox_messages{{{BOX}}}", "in the outbox"),
                    defaults={"min": 0},
                ),
                series(
                    "Messages delivered",
                    promql(f"rate(vedette_broker_delivered_messages_total{{{BOX}}}[{WINDOWED}])", "a second"),
                    defaults={"min": 0},
                ),
                series(
                    "Outbox in use",
                    promql(f"vedette_outbox_used_ratio{{{BOX}}}", "share of its disk"),
                    unit="percentunit",
                    defaults=SHARE,
                ),
                series(
                    "Processor of the agent",
                    promql(f"rate(process_cpu_seconds_total{{{BOX}}}[{WINDOWED}])", "cores"),
                    defaults={"min": 0},
                ),
                series(
                    "Memory of the agent",
                    promql(f"process_resident_memory_bytes{{{BOX}}}", "resident"),
                    unit="bytes",
                    defaults={"min": 0},
                ),
                series(
                    "Parts: time since they showed progress",
                    promql(f"vedette_part_silent_seconds{{{BOX}}}", "{{part}}"),
                    unit="s",
                    defaults={"min": 0},
                ),
                series(
                    "What a measurement takes",
                    promql(f"vedette_probe_duration_seconds{{{BOX}}}", "{{probe}}"),
                    unit="s",
                    defaults={"min": 0},
                ),
                series(
                    "How much the model may run",
                    promql(f"vedette_host_model_busy_limit_ratio{{{BOX}}}", "share of the time"),
                    unit="percentunit",
                    help="Below 100 % while the device is too hot.",
                    defaults={"min": 0, "max": 1},
                ),
                series(
                    "Parts that failed in an hour",
                    promql(f"increase(vedette_part_failures_total{{{BOX}}}[1h])", "{{part}}"),
                    defaults={"min": 0},
                ),
            ],
        ),
    ],
)
