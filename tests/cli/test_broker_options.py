"""How commands log in at a broker: the same options everywhere, against brokers that ask for it."""

import subprocess

import pytest

from agent.__main__ import main
from tests.delivery.mqtt.test_connection import tls_lines

COMMANDS = {
    "watch": ["watch", "--seconds", "0.5"],
    "verify": ["verify", "--for", "500ms"],
    "merge": ["sketch", "merge", "--for", "500ms"],
}
HEARD = {
    "watch": "no message yet",
    "verify": "no messages were received",
    "merge": "no sketch message was found",
}

pytestmark = pytest.mark.usefixtures("hurried")


@pytest.fixture
def locked(mosquitto, tmp_path):
    passwords = tmp_path / "passwords"
    subprocess.run(
        ["mosquitto_passwd", "-c", "-b", passwords, "agent", "right"], check=True, capture_output=True
    )
    return mosquitto("allow_anonymous false", f"password_file {passwords}")


def run(capsys, command, *more):
    code = main([*COMMANDS[command], *map(str, more)])
    output = capsys.readouterr()
    return code, output.out + output.err


@pytest.mark.broker
@pytest.mark.parametrize("command", COMMANDS)
def test_a_password_comes_from_a_file_the_environment_or_a_config(
    locked, tmp_path, capsys, monkeypatch, command
):
    file, config = tmp_path / "pw", tmp_path / "v.toml"
    file.write_text("right\n")
    config.write_text(
        f'[broker]\nurl = "{locked.url}"\nusername = "agent"\npassword_file = "pw"\n'
        '[[cameras]]\nname = "a"\nkind = "synthetic"\n'
    )
    user = ("--broker", locked.url, "--username", "agent")
    assert HEARD[command] in run(capsys, command, *user, "--password-file", file)[1]
    assert HEARD[command] in run(capsys, command, "--config", config)[1]
    code, output = run(capsys, command, *user)
    assert code == 1
    assert "authori" in output.lower()
    monkeypatch.setenv("VEDETTE_BROKER_PASSWORD", "right")
    assert HEARD[command] in run(capsys, command, *user)[1]
    assert "vedette-agent" not in locked.log.read_text(), "these tools have client ids of their own"


@pytest.mark.broker
@pytest.mark.parametrize("command", COMMANDS)
def test_a_client_certificate_opens_a_broker_that_asks_for_one(mosquitto, certificates, capsys, command):
    broker = mosquitto(listener=tls_lines(certificates, "require_certificate true"))
    where = ("--broker", f"mqtts://127.0.0.1:{broker.port}", "--ca-file", certificates / "ca.crt")
    mine = ("--cert-file", certificates / "client.crt", "--key-file", certificates / "client.key")
    assert HEARD[command] in run(capsys, command, *where, *mine)[1]
    assert run(capsys, command, *where)[0] == 1, "without one it does not"


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("url", ["foo:bar:baz", "mqtt://[bad", "ftp://x", "mqtt://"])
def test_what_is_no_address_is_reported_with_its_option(capsys, command, url):
    code, output = run(capsys, command, "--broker", url)
    assert code == 78
    assert output.startswith("vedette: command line: --broker: ")
    assert "mqtt://HOST:PORT" in output


def test_run_reports_it_the_same_way(capsys, tmp_path):
    for words, option in (
        (["--broker", "foo:bar:baz"], "--broker: "),
        (["--broker", "mqtt://x", "--password-file", "/nowhere/file"], "--password-file: /nowhere/file: "),
        (["--broker", "mqtt://x", "--key-file", "/nowhere/file"], "--key-file: /nowhere/file: "),
    ):
        assert main(["run", "--source", "synthetic", "--state", str(tmp_path), *words]) == 78
        assert capsys.readouterr().err.startswith(f"vedette: command line: {option}")


@pytest.mark.broker
def test_run_logs_in_with_the_file_that_is_named(locked, tmp_path, listen):
    (tmp_path / "pw").write_text("right\n")
    heard = listen(locked.port, "vedette/#", username="agent", password="right")
    words = [
        "run",
        "--source",
        "synthetic",
        "--state",
        str(tmp_path),
        "--broker",
        locked.url,
        "--window",
        "1s",
    ]
    login = ["--username", "agent", "--password-file", str(tmp_path / "pw")]
    assert main([*words, *login, "--seconds", "2"]) == 0
    heard.wait(lambda messages: [message for message in messages if "/camera/" in message.topic])


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("flag", ["--password-file", "--ca-file", "--cert-file", "--key-file"])
def test_a_file_that_is_not_there_is_reported_with_its_option(capsys, command, flag):
    code, output = run(capsys, command, "--broker", "mqtt://127.0.0.1:1", flag, "/nowhere/file")
    assert code == 78
    assert f"command line: {flag}: /nowhere/file: No such file or directory" in output


@pytest.mark.parametrize("words", [["watch"], ["verify"], ["sketch", "merge"], ["run"]])
def test_the_help_teaches_no_password_on_a_command_line(capsys, words):
    with pytest.raises(SystemExit):
        main([*words, "--help"])
    text = capsys.readouterr().out
    assert "--password-file FILE" in text
    assert "PASSWORD@" not in text
    assert "secret@" not in text
