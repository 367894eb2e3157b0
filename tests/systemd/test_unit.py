"""The unit under a real systemd: starts, is watched, reloads, stops, gives up; and what it says meanwhile."""

import json
import time
from pathlib import Path

import pytest

pytestmark = [pytest.mark.xdist_group("systemd"), pytest.mark.timeout(180)]

CONFIG = """
[windows]
length = "2s"
[broker]
url = "mqtt://127.0.0.1:1883"
[[cameras]]
name = "front"
kind = "synthetic"
"""
DEAD = """
[[cameras]]
name = "dead"
url = "rtsp://viewer:geheim@127.0.0.1:9/live"
[[rules]]
name = "camera_down"
for = "1s"
"""
WATCHED = "[Service]\nWatchdogSec=3\nTimeoutAbortSec=2\nRestartSec=100ms\n"


def test_systemd_finds_nothing_wrong_with_the_unit(box):
    done = box.run("systemd-analyze verify --man=no /etc/systemd/system/vedette.service", check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_exposure_is_low(box):
    report = box.out(
        "systemd-analyze security --offline=true /etc/systemd/system/vedette.service", check=False
    )
    score = float(report.splitlines()[-1].partition("service: ")[2].split()[0])
    assert score < 2.0, report


def test_the_agent_goes_on_where_the_kernel_ends_one_of_its_processes(box):
    """By default systemd stops the whole unit then: a trial of a model that takes too much memory would end it."""
    box.run("systemctl daemon-reload")
    assert box.show("OOMPolicy") == "continue"


@pytest.fixture(scope="module")
def watching(box):
    """The box with the agent running on a camera that works and one that is dead; used before others restart it."""
    box.clear()
    box.configure(CONFIG + DEAD)
    assert box.start().returncode == 0
    return box


def test_it_is_ready_when_the_model_is_loaded_and_says_how_it_is(watching):
    ready = int(watching.show("ActiveEnterTimestampMonotonic"))
    (loaded,) = [entry for entry in watching.journal() if entry["MESSAGE"].startswith("model is ready")]
    assert int(loaded["__MONOTONIC_TIMESTAMP"]) <= ready
    watching.wait(lambda: "1 of 2 cameras online" in watching.show("StatusText"), "the status line")
    assert watching.out(f"ps -o user= -p {watching.show('MainPID')}") == "vedette"
    said = watching.out("/opt/vedette/current/bin/vedette status --config /etc/vedette/config.toml")
    assert "1 of 2 cameras online" in said
    for part in ("scheduler", "analysis", "delivery", "telemetry", "camera-front"):
        assert part in said


def test_the_journal_can_be_asked_by_camera_and_rule(watching):
    (alert, *_) = watching.wait(lambda: watching.journal("RULE=camera_down"), "an alert of the rule")
    assert alert["PRIORITY"] in "234"
    assert alert["CAMERA"] == "dead"
    assert alert["_SYSTEMD_UNIT"] == "vedette.service"
    cameras = watching.journal("CAMERA=dead")
    down = next(entry for entry in cameras if entry["MESSAGE"].startswith("camera is down"))
    assert (down["PRIORITY"], down["FAILURE"]) == ("4", "refused")
    assert {entry.get("CAMERA") for entry in watching.journal("CAMERA=front")} == {"front"}
    assert "geheim" not in json.dumps(watching.journal())


def test_a_stopped_process_is_killed_and_started_anew(agent):
    agent.configure(CONFIG, WATCHED)
    agent.start()
    before = agent.show("MainPID")
    agent.run(f"kill -STOP {before}")
    agent.wait(lambda: agent.show("NRestarts") == "1" and agent.show("ActiveState") == "active", "a restart")
    assert agent.show("MainPID") != before
    assert any("Watchdog timeout" in text for text in agent.messages("_PID=1"))


def test_a_part_that_hangs_is_named_and_the_agent_started_anew(agent):
    """The agent with one more part, which falls silent on SIGUSR1: the real supervisor and watchdog do the rest."""
    script = Path(__file__).with_name("hanging.py").read_text()
    agent.write("/opt/vedette/hanging.py", script)
    start = "ExecStart=\nExecStart=/opt/vedette/current/bin/python /opt/vedette/hanging.py\n"
    agent.configure(CONFIG, WATCHED + start)
    agent.start()
    started = int(agent.show("ExecMainStartTimestampMonotonic"))
    agent.wait(
        lambda: int(agent.show("WatchdogTimestampMonotonic")) - started > 3.2e6,
        "it is fed for longer than the watchdog waits",
    )
    assert agent.show("NRestarts") == "0", "while every part beats, the watchdog is content"
    agent.run(f"kill -USR1 {agent.show('MainPID')}")
    agent.wait(lambda: "stuck: doomed" in agent.show("StatusText"), "the part is named in the status")
    agent.wait(lambda: agent.show("NRestarts") == "1" and agent.show("ActiveState") == "active", "a restart")
    (entry,) = agent.journal("PART=doomed")
    assert entry["MESSAGE"].startswith("worker is stuck part=doomed")
    assert entry["WHERE"].startswith("hang (hanging.py:"), "the journal shows where it hangs"
    (told,) = [text for text in agent.messages() if text.startswith("the agent crashed when it last ran")]
    assert "Aborted" in told, "and the next start tells how the last run ended"
    assert "in hang" in agent.out("cat /var/lib/vedette/crash-last.txt")


def test_a_bad_config_at_a_reload_changes_nothing_and_says_why(agent):
    agent.configure(CONFIG)
    agent.start()
    pid = agent.show("MainPID")
    added = '[[cameras]]\nname = "back"\nkind = "synthetic"\n'
    agent.write("/etc/vedette/config.toml", CONFIG + added + "sed = 3\n")
    reload = agent.run("systemctl reload vedette", check=False)
    assert reload.returncode != 0, "the operator is not told that all is well"
    entry = agent.wait(lambda: agent.journal("CONFIG_KEY=cameras[1].sed"), "the reason in the journal")[0]
    assert entry["PRIORITY"] == "3"
    assert (entry["CONFIG_FILE"], entry["CONFIG_LINE"]) == ("/etc/vedette/config.toml", "12")
    assert "did you mean 'seed'?" in entry["MESSAGE"]
    assert (agent.show("ActiveState"), agent.show("MainPID")) == ("active", pid)
    agent.wait(lambda: "config not reloaded" in agent.show("StatusText"), "the reason in the status")
    more = '[log]\nlevel = "debug"\n[[notifiers]]\nname = "hook"\nurl = "http://127.0.0.1:9/"\n'
    agent.write("/etc/vedette/config.toml", CONFIG.replace("1883", "1884") + more + added)
    agent.run("systemctl reload vedette")
    agent.wait(lambda: "of 2 cameras online" in agent.show("StatusText"), "the second camera")
    (text,) = [text for text in agent.messages() if text.startswith("config reloaded")]
    assert "camera back added, notifiers, log level debug; restart the agent for broker.url" in text
    assert "config not reloaded" not in agent.show("StatusText")
    assert (agent.show("MainPID"), agent.show("NRestarts")) == (pid, "0")


CHECK = "/opt/vedette/current/bin/vedette check"


def squeezed(done):
    return " ".join((done.stdout + done.stderr).split())


def test_it_logs_in_with_a_credential_and_stops_in_time_with_what_it_saw_delivered(agent):
    agent.write("/etc/broker.conf", "listener 1883 127.0.0.1\npassword_file /etc/broker.users\nuser root\n")
    agent.run("mosquitto_passwd -c -b /etc/broker.users box-7 geheim")
    agent.run("systemd-run --unit broker /usr/sbin/mosquitto -c /etc/broker.conf")
    agent.write("/etc/vedette/credentials/broker_password", "geheim\n")
    agent.run("chmod 600 /etc/vedette/credentials/broker_password")  # root's: the agent cannot read it itself
    agent.run("mkdir -m 755 -p /etc/secrets; mv /etc/vedette/credentials/broker_password /etc/secrets/mqtt")
    load = "[Service]\nLoadCredential=broker_password:/etc/secrets/mqtt\n"
    agent.configure(CONFIG.replace("[broker]", '[broker]\nusername = "box-7"'), load)
    agent.start()
    agent.wait(lambda: "broker connected" in agent.show("StatusText"), "the login")
    assert "the running agent is connected" in squeezed(agent.run(CHECK))
    began = time.monotonic()
    agent.stop()
    assert time.monotonic() - began < 25, (
        "systemd kills after 30 s; the agent takes 10 at most, a busy box some more"
    )
    assert (agent.show("Result"), agent.show("ExecMainStatus")) == ("success", "0")
    assert any(text.startswith("delivery stopped messages_left_on_disk=0") for text in agent.messages())
    assert "may publish below" in squeezed(agent.run(CHECK)), "systemd says where the password is"
    as_nobody = squeezed(
        agent.run(f"setpriv --reuid 65534 --regid 65534 --clear-groups {CHECK}", check=False)
    )
    assert "the service's password is in /etc/secrets/mqtt, which you may not read" in as_nobody
    agent.run("systemctl stop broker")


FLOOD = """
import json, sys, threading, time
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion

answers, seconds, subscribed = [], int(sys.argv[1]), threading.Event()
client = paho.Client(CallbackAPIVersion.VERSION2)
client.on_message = lambda _client, _data, message: answers.append(json.loads(message.payload))
client.on_connect = lambda *_: client.subscribe("vedette/+/box/reply/#", qos=1)
client.on_subscribe = lambda *_: subscribed.set()
client.connect("127.0.0.1", 1883)
client.loop_start()
subscribed.wait(30)
began, sent = time.monotonic(), 0
while time.monotonic() - began < seconds:
    while sent < 100 * (time.monotonic() - began):
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        command = {"id": f"c{sent}", "time": moment, "rule": "camera_down", "for": "1m"}
        client.publish("vedette/default/box/command/mute", json.dumps(command), qos=1)
        sent += 1
    time.sleep(0.01)
while len(answers) < 60 and time.monotonic() - began < seconds + 120:
    time.sleep(0.05)
client.loop_stop()
print(json.dumps([sent, [answer["ok"] for answer in answers]]))
"""


def test_a_hundred_commands_a_second_do_not_disturb_it(agent):
    """As many as the limit allows are carried out, as many answered; its cameras, watchdog and journal do not notice."""
    agent.write("/etc/broker.conf", "listener 1883 127.0.0.1\nallow_anonymous true\nuser root\n")
    agent.run("systemd-run --unit flooded /usr/sbin/mosquitto -c /etc/broker.conf")
    commands = '[device]\nname = "box"\n[commands]\nenabled = true\nallow = ["mute"]\n'
    agent.configure(CONFIG + commands, "[Service]\nWatchdogSec=10\n")
    agent.start()
    agent.wait(lambda: "broker connected" in agent.show("StatusText"), "the login")
    agent.forget_journal()
    agent.write("/root/flood.py", FLOOD)
    python = "/opt/vedette/current/bin/python"
    sent, answers = json.loads(agent.out(f"{python} /root/flood.py 20"))
    said = agent.messages("_SYSTEMD_UNIT=vedette.service")
    agent.run("systemctl stop flooded")
    assert sent >= 1900
    assert 16 <= answers.count(True) <= 30, "from what may wait to commands.rate_per_minute"
    assert len(answers) == 60, "a refusal for the rate is answered as often"
    assert (agent.show("ActiveState"), agent.show("NRestarts")) == ("active", "0")
    assert "1 of 1 camera online" in agent.show("StatusText")
    assert len(said) < 30, said


def test_a_wrong_config_at_the_start_is_told_and_not_tried_again(agent):
    agent.configure(CONFIG.replace("length", "lenght"))
    assert agent.start().returncode != 0
    assert (agent.show("ActiveState"), agent.show("ExecMainStatus")) == ("failed", "78")
    assert agent.show("SubState") == "failed", "a service that is to be started again is in auto-restart"
    assert agent.show("NRestarts") == "0"
    text = next(text for text in agent.messages("_SYSTEMD_UNIT=vedette.service"))
    assert "/etc/vedette/config.toml:3: windows.lenght: unknown key; did you mean 'length'?" in text


def test_a_crash_loop_ends(agent):
    limits = "[Unit]\nStartLimitBurst=3\n[Service]\nRestartSec=50ms\n"
    agent.configure(CONFIG + '[model]\npath = "/etc/vedette/none.onnx"\n', limits)
    agent.start()
    agent.wait(lambda: agent.show("ActiveState") == "failed" and agent.show("NRestarts") == "3", "the end")
    said = [
        text for text in agent.messages("_SYSTEMD_UNIT=vedette.service") if "none.onnx does not exist" in text
    ]
    assert len(said) == 3
    assert any("Start request repeated too quickly" in text for text in agent.messages("_PID=1"))


def test_gpu_and_camera_nodes_can_be_opened_and_the_system_cannot_be_written(agent):
    """The nodes have no driver here: ENXIO means that the unit may use them, EPERM or EACCES that it may not."""
    probe = (
        "for node in nvidia0 nvidiactl video0; do head -c1 /dev/$node; done; "
        "echo x >/etc/vedette/x; echo x >/usr/x; ls /root; ls /tmp/share; echo x >/var/lib/vedette/x && echo state"
    )
    drop_in = f"[Service]\nSupplementaryGroups=video\nExecStartPre=/bin/sh -c '{probe}'\n"
    agent.configure(CONFIG, drop_in)
    agent.start()
    text = "\n".join(agent.messages("_SYSTEMD_UNIT=vedette.service"))
    for node in ("nvidia0", "nvidiactl", "video0"):
        assert f"'/dev/{node}' for reading: No such device or address" in text, text
    for path in ("/etc/vedette/x", "/usr/x"):
        assert f"cannot create {path}" in text
    assert "/tmp/share" in text and "No such file" in text
    assert agent.out("cat /var/lib/vedette/x") == "x"
