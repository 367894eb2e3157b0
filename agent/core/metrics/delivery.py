"""Metrics of the outbox and the connection to the broker."""

from __future__ import annotations

from agent.core.metrics.definition import Alerting, Export, Merge, Metric, Sent

DELIVERY = (
    Metric(
        "host.broker_connected",
        Alerting("is connected to the broker", "broker", "state", "connected"),
        Export("broker_connected", "1 while connected to the MQTT broker."),
    ),
    Metric(
        "host.broker_refused_topics",
        Alerting("topics that the broker refuses", "broker", "count"),
        Export("broker_refused_topics", "Topics that the broker refuses at present."),
    ),
    Metric(
        "host.name_taken",
        Alerting("another box has this device's name", "broker", "state", "name of its own"),
        Export("name_taken", "1 while another box publishes under this device's name."),
        sent=Sent.NOT_ZERO,
    ),
    Metric(
        "host.certificate_ends",
        Alerting("has a certificate that ends soon", "certificate", "state", "a certificate that lasts"),
        Export(
            "broker_certificate_ends", "1 while broker.cert_file, or the broker's own certificate, ends soon."
        ),
        sent=Sent.NOT_ZERO,
    ),
    Metric(
        "host.delivered_total",
        Alerting("messages delivered", "broker"),
        Export("broker_delivered_messages_total", "Messages that the broker acknowledged."),
        merge=Merge.LAST,
        sent=Sent.COMPLETE,
    ),
    Metric(
        "host.outbox_messages",
        Alerting("messages waiting", "outbox", "count"),
        Export("outbox_messages", "Messages waiting in the outbox."),
        sent=Sent.ALWAYS,
    ),
    Metric(
        "host.outbox_used_ratio",
        Alerting("outbox in use", "outbox"),
        Export("outbox_used_ratio", "Share of the outbox's disk in use."),
    ),
    Metric(
        "host.outbox_durable",
        Alerting("is keeping messages on disk", "outbox", "state", "messages kept on disk"),
        Export("outbox_durable", "1 while messages are kept on disk, 0 while only in memory."),
    ),
    Metric(
        "host.outbox_lost_total",
        Alerting("messages lost", "outbox_loss"),
        Export("outbox_lost_messages_total", "Messages dropped since the outbox was full."),
        merge=Merge.LAST,
    ),
    Metric(
        "host.outbox_commits_total",
        Alerting("commits of the outbox", "outbox"),
        Export("outbox_commits_total", "Commits to the outbox: each is one sync."),
        merge=Merge.LAST,
        sent=Sent.COMPLETE,
    ),
    Metric(
        "host.outbox_written_bytes_total",
        Alerting("bytes written by delivery", "outbox"),
        Export("outbox_written_bytes_total", "Bytes that delivery had written to disk."),
        merge=Merge.LAST,
        sent=Sent.COMPLETE,
    ),
    Metric(
        "host.outbox_merged_total",
        Alerting("messages merged", "outbox"),
        Export("outbox_merged_messages_total", "Windows merged into longer ones."),
        merge=Merge.LAST,
    ),
    Metric(
        "host.outbox_damaged_total",
        Alerting("damaged outbox files", "outbox_loss"),
        Export("outbox_damaged_files_total", "Outbox files that were damaged and set aside."),
        merge=Merge.LAST,
    ),
    Metric(
        "host.outbox_lost",
        Alerting("messages lost lately", "outbox_loss", "count"),
        doc="Messages lost in the last ten minutes.",
        sent=Sent.NOT_ZERO,
    ),
)
