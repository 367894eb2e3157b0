"""A RabbitMQ cluster of three nodes: what a subscriber with a session was to get is all there, whatever node fails."""

import time

import pytest

from agent.delivery.identity import Identity
from tests.brokers import cluster as clusters
from tests.brokers.conftest import Observer, note
from tests.brokers.kinds import load as load_kind
from tests.delivery.conftest import Drafts

pytestmark = [pytest.mark.slow, pytest.mark.timeout(580)]
TITLE = "fault of a cluster of three"
FAULTS = ("killed", "cut off from the two others", "cut off from everything")
IDENTITY = Identity(
    device="box", site="dock", boot="b00t0001", client_id="vedette-cluster", topic_prefix="vedette"
)


@pytest.fixture(params=["rabbitmq-debian13"])
def cluster(request, tmp_path):
    kind = load_kind(request.param)
    if kind.missing() or clusters.missing():
        pytest.skip(kind.missing() or clusters.missing())
    made = clusters.Cluster(tmp_path, kind.root())
    made.lacks, made.title = kind.lacks, f"{kind.name} {kind.version()}"
    try:
        yield made.start()
    finally:
        made.close()


def retained_status(node, newest):
    """Whether a newcomer at this node gets the device's last status."""
    observer = Observer(
        [(node.address, node.port)], "vedette/dock/box/status", newest=newest, login=("guest", "guest")
    )
    try:
        observer.wait_subscribed()
        return observer.hears(lambda heard: any(m.retain for m in heard))
    finally:
        observer.close()


def fail(cluster, fault):
    if fault == "killed":
        cluster.nodes[0].kill()
    else:
        cluster.part(0, whole=fault == "cut off from everything")


def mend(cluster, fault):
    if fault == "killed":
        cluster.nodes[0].start()
    else:
        cluster.join(0)


def test_nothing_is_lost_for_a_subscriber_with_a_session(cluster, load, account):
    nodes, newest = cluster.nodes, "mqtt 5" not in cluster.lacks
    ears = Observer(
        [(node.address, node.port) for node in (nodes[1], nodes[0], nodes[2])],
        "vedette/#", newest=newest, session="history", login=("guest", "guest"), keepalive=5,
    )  # fmt: skip
    try:
        ears.wait_subscribed()
        running = load(nodes[0].url, rate=50.0, identity=IDENTITY, fallbacks=[nodes[1].url, nodes[2].url])
        drafts = Drafts()
        running.until(lambda p: p.connection.broker.endswith(f"{nodes[0].address}:{nodes[0].port}"), 60)
        running.until(lambda p: p.statistics().get("delivered_total", 0) > 50, 60)
        kept = ["yes" if retained_status(node, newest) else "no" for node in nodes]
        assert kept == ["yes", "no", "no"]
        for fault in FAULTS:
            running.publisher.publish(drafts.alert(alert_id=fault.replace(" ", "-")))
            fail(cluster, fault)
            began = time.monotonic()
            running.until(
                lambda p: p.connection.state == "connected" and f"{nodes[0].port}" not in p.connection.broker,
                90,
            )
            before = running.publisher.statistics()["delivered_total"]
            running.until(lambda p, before=before: p.statistics()["delivered_total"] > before + 100, 90)
            note(
                TITLE,
                f"{cluster.title}: {fault}",
                "delivery goes on after",
                f"{time.monotonic() - began:.1f} s",
            )
            mend(cluster, fault)
            running.until(
                lambda p: p.connection.state == "connected" and f"{nodes[0].port}" in p.connection.broker, 120
            )
        running.drain(90)
        wanted = set(running.accepted)
        ears.wait(lambda heard: wanted <= {(m.body["boot"], m.body["seq"]) for m in heard if m.payload}, 90)
        for fault in FAULTS:
            assert any(m.topic.endswith(f"/alert/{fault.replace(' ', '-')}") for m in ears.messages)
        outcome = account(running.accepted, ears.messages, dated=False)
        assert outcome.report["ok"], outcome.report
        note(TITLE, f"{cluster.title}: all three", "delivery goes on after", "-")
        note(TITLE, f"{cluster.title}: all three", "accepted", len(wanted))
        note(TITLE, f"{cluster.title}: all three", "lost", 0)
    finally:
        ears.close()
