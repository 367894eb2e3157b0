"""Three RabbitMQ nodes with quorum queues, each in a network namespace of its own, joined by a bridge."""

import os
import subprocess

from tests.brokers.kinds.rabbitmq import RabbitMqNode

NET = "10.214.7"
BRIDGE = "vdt-bridge"
TICK = 8  # seconds until a silent node is taken for lost; RabbitMQ's default is 60


def ip(*words, check=True):
    subprocess.run(["ip", *map(str, words)], check=check, capture_output=not check)


class Cluster:
    """`nodes[0..2]`. A node may be killed and started again, cut off from the two others, or from everything."""

    def __init__(self, folder, root):
        self.lacks, self.nodes = frozenset(), []
        self._folder, self._root = folder, root

    def start(self):
        ip("link", "add", BRIDGE, "type", "bridge")
        ip("addr", "add", f"{NET}.1/24", "dev", BRIDGE)
        ip("link", "set", BRIDGE, "up")
        for number in range(3):
            self._network(number)
        members = [f"{NET}.{11 + number}" for number in range(3)]
        settings = [
            "cluster_formation.peer_discovery_backend = classic_config",
            *(
                f"cluster_formation.classic_config.nodes.{n + 1} = rabbit@{address}"
                for n, address in enumerate(members)
            ),
            "cluster_partition_handling = pause_minority",
            "mqtt.durable_queue_type = quorum",
        ]
        for number, address in enumerate(members):
            more = {"network": f"vdt-n{number}", "settings": settings, "more": f"-kernel net_ticktime {TICK}"}
            self.nodes.append(
                RabbitMqNode(self._folder / f"n{number}", root=self._root, address=address, **more)
            )
        for node in self.nodes:
            node.begin()
        for node in self.nodes:  # each waits for the others
            node.wait()
        return self

    def _network(self, number):
        name = f"vdt-n{number}"
        ip("netns", "add", name)
        ip("link", "add", f"{name}-b", "type", "veth", "peer", "name", "eth0", "netns", name)
        ip("link", "set", f"{name}-b", "master", BRIDGE, "up")
        ip("-n", name, "addr", "add", f"{NET}.{11 + number}/24", "dev", "eth0")
        for device in ("eth0", "lo"):
            ip("-n", name, "link", "set", device, "up")

    def part(self, number, *, whole):
        """Cut a node off: from everything (`whole`), or only from the two others, so that clients still reach it."""
        if whole:
            ip("link", "set", f"vdt-n{number}-b", "down")
            return
        for other in {0, 1, 2} - {number}:
            ip("-n", f"vdt-n{number}", "route", "add", "blackhole", f"{NET}.{11 + other}/32")

    def join(self, number):
        """Undo `part`."""
        ip("link", "set", f"vdt-n{number}-b", "up")
        for other in {0, 1, 2} - {number}:
            ip("-n", f"vdt-n{number}", "route", "del", "blackhole", f"{NET}.{11 + other}/32", check=False)

    def close(self):
        for node in self.nodes:
            if node.running:
                node.kill()
        for number in range(3):
            ip("netns", "del", f"vdt-n{number}", check=False)
        ip("link", "del", BRIDGE, check=False)


def missing():
    """Why there can be no cluster here, "" where there can."""
    if os.geteuid() != 0:
        return "needs root, for network namespaces"
    try:
        ip("netns", "add", "vdt-probe")
    except (OSError, subprocess.CalledProcessError):
        return "needs network namespaces"
    ip("netns", "del", "vdt-probe")
    return ""
