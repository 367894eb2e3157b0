"""What happens to the agent's own process and its disk."""

import random
import subprocess
import time

import pytest

from tests.faults.conftest import drained
from tests.waiting import wait_until

pytestmark = pytest.mark.broker


def test_agent_killed_at_random_moments(mosquitto, listen, drive, pipe, account, request):
    broker, rng = mosquitto(), random.Random(5)
    listener = listen(broker.port)
    for _ in range(request.config.getoption("--kills")):
        before = len(pipe.accepted())
        agent = drive(broker.url, pipe.path, rate=2000)
        wait_until(lambda before=before: len(pipe.accepted()) > before, 20)
        time.sleep(rng.uniform(0.0, 0.4))
        agent.kill()
    last = drive(broker.url, pipe.path, rate=2000, count=200)
    assert last.process.wait(30) == 0
    accepted = pipe.accepted()
    drained(listener, accepted)
    outcome = account(accepted, listener.messages)
    assert outcome.lost == []
    assert len({boot for boot, _ in accepted}) == 1
    assert len(set(accepted)) == len(accepted)
    assert [s["gaps"] for s in outcome.streams()] == [0]


def test_disk_full(mosquitto, listen, load, account, small_disk):
    """While the broker is there, nothing is lost for want of disk; what was accepted never is."""
    broker = mosquitto()
    listener = listen(broker.port)
    running = load(broker.url, small_disk / "state")
    running.until(lambda p: p.statistics().get("delivered_total", 0) > 50)
    hog = small_disk / "hog"
    with pytest.raises(OSError, match="No space"), hog.open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)
    before = running.publisher.statistics()["delivered_total"]
    running.until(lambda p: p.statistics()["delivered_total"] > before + 300)
    hog.unlink()
    running.drain()
    drained(listener, running.accepted)
    outcome = account(running.accepted, listener.messages)
    assert outcome.lost == []
    assert running.publisher.statistics()["outbox_lost_total"] == 0


def test_disk_stops_taking_writes_and_comes_back(mosquitto, listen, drive, pipe, account, tmp_path):
    """Kept in memory meanwhile; on disk again afterwards, so that a kill then loses nothing."""
    # The broker keeps what it acknowledged but did not hand on when it is stopped: that loss would not be ours.
    broker = mosquitto("allow_anonymous true", "persistence true", f"persistence_location {tmp_path}/")
    listener = listen(broker.port)
    agent = drive(broker.url, pipe.path, rate=300)
    wait_until(lambda: len(pipe.accepted()) > 100, 20)
    agent.limit_files(0)
    wait_until(lambda: len({boot for boot, _ in pipe.accepted()}) == 2, 20)  # memory has an epoch of its own
    agent.limit_files(-1)
    wait_until(lambda: pipe.accepted()[-1][0] == pipe.accepted()[0][0], 20)
    broker.stop()
    held = len(pipe.accepted())
    wait_until(lambda: len(pipe.accepted()) > held + 100, 20)
    agent.kill()
    broker.start()
    listener.wait_subscribed()
    assert drive(broker.url, pipe.path, count=10).process.wait(30) == 0
    drained(listener, pipe.accepted())
    assert account(pipe.accepted(), listener.messages).lost == []


def test_a_file_system_that_turns_read_only_while_it_is_written(
    mosquitto, listen, drive, pipe, account, failing_disk
):
    """Delivery goes on from memory; what was accepted and not yet sent is on the disk, and is sent once that is repaired."""
    broker = mosquitto()
    listener = listen(broker.port)
    agent = drive(broker.url, pipe.path, failing_disk.path / "state", rate=300, count=3000)
    wait_until(lambda: len(pipe.accepted()) > 100, 20)
    failing_disk.fail()
    wait_until(lambda: len({boot for boot, _ in pipe.accepted()}) == 2, 20)  # memory has an epoch of its own
    assert agent.process.wait(60) == 0
    failing_disk.repair()
    assert drive(broker.url, pipe.path, failing_disk.path / "state", count=10).process.wait(30) == 0
    drained(listener, pipe.accepted())
    assert account(pipe.accepted(), listener.messages).lost == []


def test_read_only_directory_from_the_start(mosquitto, listen, load, account, small_disk, capsys):
    broker = mosquitto()
    (small_disk / "state").mkdir()
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True, capture_output=True)
    listener = listen(broker.port)
    running = load(broker.url, small_disk / "state")
    running.until(lambda p: p.statistics().get("delivered_total", 0) > 100)
    assert running.publisher.statistics()["outbox_durable"] == 0.0
    assert "THE OUTBOX CANNOT USE THE DISK" in capsys.readouterr().out
    running.drain()
    drained(listener, running.accepted)
    assert account(running.accepted, listener.messages).lost == []
