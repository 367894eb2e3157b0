"""What the agent says to the service manager, heard at a real datagram socket."""

import socket
import time

import pytest

from agent.app.systemd import SystemdNotifier


@pytest.fixture
def manager(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(str(tmp_path / "notify"))
        channel.settimeout(5)
        yield channel


def hear(manager):
    return manager.recv(4096).decode().splitlines()


def test_lines_arrive(manager):
    SystemdNotifier(manager.getsockname()).send("READY=1", "STATUS=2 of 2 cameras online")
    assert hear(manager) == ["READY=1", "STATUS=2 of 2 cameras online"]


def test_a_long_start_asks_for_time_until_it_is_over(manager):
    with SystemdNotifier(manager.getsockname()).starting("loading the model", every=0.05):
        for _ in range(3):
            status, extend = hear(manager)
            assert status.startswith("STATUS=loading the model")
            assert extend == "EXTEND_TIMEOUT_USEC=30000000"
    manager.settimeout(0.2)
    with pytest.raises(TimeoutError):
        for _ in range(100):  # what was on its way, then nothing more
            hear(manager)


def test_a_reload_is_stamped_with_the_clock_that_systemd_compares(manager):
    before = time.monotonic_ns() // 1000
    SystemdNotifier(manager.getsockname()).reloading()
    begun, stamp = hear(manager)
    assert begun == "RELOADING=1"
    assert before <= int(stamp.removeprefix("MONOTONIC_USEC=")) <= time.monotonic_ns() // 1000


def test_without_a_service_manager_nothing_happens(tmp_path):
    SystemdNotifier("").send("READY=1")
    SystemdNotifier(str(tmp_path / "gone")).send("READY=1")
    with SystemdNotifier("").starting("x"):
        pass
