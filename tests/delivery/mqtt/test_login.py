"""Logins that are rotated, expire, or cannot be read; keys that are encrypted; nothing asks, nothing stops."""

import base64
import json
import os
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.config.delivery_settings import BrokerSettings
from agent.core.errors import ConfigError
from agent.core.secret import Masked, Secret
from agent.dashboard.subscriber import Subscriber
from agent.delivery.mqtt import login, renewal, tokens
from agent.delivery.mqtt.address import broker_addresses
from agent.delivery.mqtt.failures import ConnectionFailure
from agent.delivery.mqtt.login import read_credentials
from agent.delivery.mqtt.ping import ping
from agent.delivery.mqtt.tls import tls_context
from agent.delivery.mqtt.tokens import expires_at, renew_after
from tests.certificates import Authority, openssl
from tests.delivery.mqtt.test_inflight import strict_broker


def credentials(**more):
    settings = BrokerSettings(**more)
    return read_credentials(settings, broker_addresses(settings)[0])


def jwt(**claims):
    part = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"eyJhbGciOiJub25lIn0.{part}.signature"


def program(code):
    return (sys.executable, "-c", code)


# -- when a token ends ---------------------------------------------------------------------------------------


def test_the_end_of_a_token_is_read_where_it_says_so():
    assert expires_at(jwt(exp=1_790_000_000)) == 1_790_000_000
    assert expires_at(jwt(exp=1_790_000_000.5)) == 1_790_000_000.5
    assert expires_at("SharedAccessSignature sr=h%2Fd&sig=a%3D&se=1790000000&skn=p") == 1_790_000_000


@pytest.mark.parametrize(
    "token",
    ["", "secret", "a.b.c", "..", "a.####.c", jwt(), jwt(exp="1790000000"), jwt(exp=True), jwt(exp=-1), jwt(exp=1e300),
     jwt(exp=None), jwt(exp=[1]), "a.W10.c", "a.bnVsbA.c", "SharedAccessSignature se=x", "SharedAccessSignature sr=a",
     "SharedAccessSignature se=nan", "SharedAccessSignature se=inf", "a." + "W" * 10_000 + ".c"],
)  # fmt: skip
def test_what_does_not_say_when_it_ends_is_a_password(token):
    assert expires_at(token) is None


@given(st.text(max_size=80))
def test_any_password_is_read_without_an_error(text):
    expires_at(text)
    expires_at(f"a.{text}.b")


@given(st.floats(1, 1e9), st.floats(0, 1e9))
def test_another_token_is_due_before_the_end_and_not_at_once(expires, now):
    after = renew_after(expires, now)
    assert after is None or 0 < after < expires - now
    assert after is None or after >= 0.79 * (expires - now)


# -- files and commands --------------------------------------------------------------------------------------


def test_a_file_that_cannot_be_used_is_named_with_the_reason(tmp_path):
    (tmp_path / "empty").touch()
    (tmp_path / "blank-line").write_text("\nsecret\n")
    (tmp_path / "no-text").write_bytes(b"\xc3\x28\n")
    for name, reason in (("absent", "No such file or directory (ENOENT)"), (".", "Is a directory (EISDIR)"),
                         ("empty", "first line is empty"), ("blank-line", "first line is empty"),
                         ("no-text", "is not text (EINVAL)")):  # fmt: skip
        with pytest.raises(ConfigError) as caught:
            credentials(password_file=str(tmp_path / name))
        assert str(tmp_path / name) in str(caught.value) and reason in str(caught.value)
        assert "broker.password_file" in str(caught.value) and "in its first line" in str(caught.value)


def test_a_command_prints_the_token_and_no_shell_reads_it(tmp_path):
    made = tmp_path / "made"
    found = credentials(
        token_command=program(f"import sys; print({jwt(exp=5)!r}); print('more')"), username="u"
    )
    assert (found.username, found.password.reveal(), found.expires_at) == ("u", jwt(exp=5), 5.0)
    assert (
        credentials(token_command=("/bin/echo", f"$(touch {made})")).password.reveal() == f"$(touch {made})"
    )
    assert not made.exists()


def test_a_command_is_not_handed_what_is_the_agents_alone(monkeypatch):
    monkeypatch.setenv("VEDETTE_BROKER_PASSWORD", "S3cret")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "/run/credentials")
    code = "import os; print([n for n in os.environ if n.startswith(('VEDETTE_', 'CREDENTIALS_'))])"
    assert credentials(token_command=program(code)).password.reveal() == "[]"


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (program("print('S3cretOutput'); raise SystemExit(3)"), "failed with exit status 3"),
        (program(""), "printed nothing"),
        (program("print(); print('S3cretOutput')"), "printed nothing"),
        (program("import sys; sys.stdout.buffer.write(b'\\xff')"), "printed what is not text"),
        (program("import os\nwhile True: os.write(1, b'S3cretOutput' * 1000)"), "printed more than 65536 bytes"),
        (program("input()"), "failed with exit status 1"),  # it has no terminal to ask at
        (("/no/such/program", "S3cretArgument"), "cannot be started: No such file or directory (ENOENT)"),
        (("/etc/hostname", "S3cretArgument"), "cannot be started: Exec format error (ENOEXEC)"),
            (("/etc", "S3cretArgument"), "cannot be started: Permission denied (EACCES)"),
    ],
)  # fmt: skip
def test_a_command_that_gives_no_token_is_named_without_what_it_printed(command, reason):
    with pytest.raises(ConfigError) as caught:
        credentials(token_command=command)
    assert f"{command[0]} {reason}" in str(caught.value)
    assert "broker.token_command" in str(caught.value)
    assert "S3cret" not in str(caught.value) + repr(BrokerSettings(token_command=command))


@pytest.mark.parametrize("ends", ["", "os.close(1)", "if os.fork(): print('token'); os._exit(0)"])
def test_a_command_that_does_not_end_is_ended_with_its_children(ends, monkeypatch, tmp_path):
    monkeypatch.setattr(login, "COMMAND_SECONDS", 1.0)
    pid = tmp_path / "pid"
    code = f"import os, time\n{ends}\nopen({str(pid)!r}, 'w').write(str(os.getpid()))\ntime.sleep(600)"
    with pytest.raises(ConfigError, match="did not end within 1 s"):
        credentials(token_command=program(code))
    deadline = time.monotonic() + 10
    while pid.exists() and (stat := Path("/proc", pid.read_text(), "stat")).exists():
        if stat.read_text().rpartition(") ")[2][0] == "Z":
            break
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_token_is_not_given_twice():
    with pytest.raises(ConfigError, match="token_command: is given beside a password"):
        BrokerSettings(token_command=("/bin/token",), password_file="x")


# -- an agent with a login that changes ----------------------------------------------------------------------


@pytest.fixture
def broker():
    one = strict_broker.StrictBroker(pause=0.0)
    yield one
    one.close()


@pytest.mark.broker
def test_a_rotated_password_counts_at_the_next_connect(mosquitto, publish, drafts, tmp_path, capsys):
    passwords, secret = tmp_path / "passwords", tmp_path / "secret"

    def knows(password):
        subprocess.run(
            ["mosquitto_passwd", "-c", "-b", passwords, "agent", password], check=True, capture_output=True
        )

    knows("first")
    secret.write_text("first\n")
    server = mosquitto("allow_anonymous false", f"password_file {passwords}")
    running = publish(server.url, username="agent", password_file=str(secret))
    running.until(lambda p: p.connection.state == "connected")
    server.stop()
    knows("second")
    secret.unlink()
    server.start()
    running.until(lambda p: p.connection.failure == ConnectionFailure.CREDENTIALS.value)
    assert f"{secret}: No such file or directory (ENOENT)" in running.publisher.report()["broker"]["reason"]
    running.publisher.publish(drafts.host())
    secret.write_text("second\n")
    running.until(lambda p: p.connection.state == "connected")
    assert running.publisher.drain(15)
    said = capsys.readouterr().out
    assert said.count(f"{secret}: No such file") == 1 and "correct the named file or key" in said
    assert "the broker refused us" not in said


def test_an_agent_starts_without_its_password_file_and_connects_once_it_is_there(broker, publish, tmp_path):
    secret = tmp_path / "secret"
    running = publish(broker.url, username="agent", password_file=str(secret))
    running.until(lambda p: p.connection.failure == ConnectionFailure.CREDENTIALS.value)
    assert not broker.connects
    secret.write_text("here-it-is\n")
    running.until(lambda p: p.connection.state == "connected")
    assert b"here-it-is" in broker.connects[0]


@pytest.fixture
def soon(monkeypatch):
    """Tokens are replaced at once rather than minutes before their end."""
    monkeypatch.setattr(tokens, "RENEW_SHARE", 0.99999)
    monkeypatch.setattr(tokens, "RENEW_SECONDS", 1e9)


@pytest.mark.usefixtures("soon")
def test_a_token_is_replaced_before_it_ends_and_nothing_is_lost(broker, publish, drafts, tmp_path, capsys):
    now, secret = time.time(), tmp_path / "token"
    first, second = jwt(exp=now + 36_000), jwt(exp=now + 1e9)
    secret.write_text(first)
    running = publish(broker.url, username="agent", password_file=str(secret))
    running.until(lambda p: p.connection.state == "connected")
    secret.write_text(second)
    for _ in range(50):
        running.publisher.publish(drafts.host())
    running.until(lambda _: len(broker.connects) == 2, 30)
    assert first.encode() in broker.connects[0] and second.encode() in broker.connects[1]
    running.until(
        lambda p: p.connection.state == "connected" and p.statistics().get("delivered_total") == 50, 30
    )
    assert broker.goodbyes == 1, "it took leave: the broker publishes no will"
    sent = list(dict.fromkeys(json.loads(p)["seq"] for t, p, _ in broker.published if t.endswith("/host")))
    assert sent == sorted(sent) and len(sent) == 50
    assert "no connection to the broker" not in capsys.readouterr().out


@pytest.mark.usefixtures("soon")
def test_a_token_that_is_not_replaced_keeps_its_connection(broker, publish, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(renewal, "RETRY_SECONDS", 0.0)
    monkeypatch.setattr(renewal, "RETRY_SHARE", 0.0)
    reads, real = [], renewal.read_credentials
    monkeypatch.setattr(renewal, "read_credentials", lambda *args: reads.append(1) or real(*args))
    secret = tmp_path / "token"
    secret.write_text(jwt(exp=time.time() + 3600))
    running = publish(broker.url, password_file=str(secret))
    running.until(lambda _: len(reads) > 2, 30)
    secret.unlink()
    before = len(reads)
    running.until(lambda _: len(reads) > before + 2, 30)
    assert len(broker.connects) == 1 and running.publisher.connection.state == "connected"
    assert capsys.readouterr().out.count("expires soon, and there is no new one yet") == 1


def test_a_slow_command_keeps_no_thread_of_delivery(broker, publish, drafts, tmp_path):
    go = tmp_path / "go"
    command = program(
        f"import os, time\nwhile not os.path.exists({str(go)!r}): time.sleep(0.02)\nprint('slow-token')"
    )
    running = publish(broker.url, token_command=command)
    running.publisher.publish(drafts.host())
    running.until(lambda p: p.statistics().get("outbox_commits_total", 0) > 0)
    assert running.publisher.connection.state == "connecting"
    go.touch()
    running.until(lambda p: p.connection.state == "connected", 30)
    assert b"slow-token" in broker.connects[0]


# -- TLS files -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A CA, a server and a client; the client's key plain and encrypted; an expired certificate; the other's key."""
    at = tmp_path_factory.mktemp("tls")
    authority = Authority(at)
    authority.sign("server", names="IP:127.0.0.1")
    authority.sign("client")
    authority.sign("ended", ends="20010101")
    openssl(at, "pkey", "-in", "client.key", "-aes256", "-passout", "pass:opens", "-out", "locked.key")
    openssl(at, "x509", "-in", "client.crt", "-outform", "der", "-out", "client.der")
    for name, text in (("opens", "opens\n"), ("wrong", "does not\n"), ("long", "x" * 2000), ("empty", ""),
                       ("noise", "no certificate"), ("cut", (at / "ca.crt").read_text()[:200])):  # fmt: skip
        (at / name).write_text(text)
    return at


@pytest.mark.parametrize(
    ("named", "ca", "cert", "key", "password", "reason"),
    [
        ("ca_file", "absent", "", "", "", "No such file or directory (ENOENT)"),
        ("ca_file", ".", "", "", "", "is not a file"),
        ("ca_file", "empty", "", "", "", "is empty"),
        ("ca_file", "noise", "", "", "", "holds no certificate in PEM"),
        ("ca_file", "client.der", "", "", "", "it may be in DER"),
        ("ca_file", "cut", "", "", "", "PEM"),
        ("cert_file", "ca.crt", "absent", "client.key", "", "(ENOENT)"),
        ("cert_file", "ca.crt", "client.key", "client.key", "", "holds no certificate in PEM"),
        ("key_file", "ca.crt", "client.crt", "absent", "", "(ENOENT)"),
        ("key_file", "ca.crt", "client.crt", "", "", "holds no private key in PEM"),
        ("key_file", "ca.crt", "client.crt", "client.crt", "", "holds no private key in PEM"),
        ("key_file", "ca.crt", "client.crt", "server.key", "", "the key does not belong to the certificate"),
        ("key_file", "ca.crt", "client.crt", "locked.key", "", "the key is encrypted"),
        ("key_password_file", "ca.crt", "client.crt", "locked.key", "wrong", "does not open"),
        ("key_password_file", "ca.crt", "client.crt", "locked.key", "long", "does not open"),
        ("key_password_file", "ca.crt", "client.crt", "locked.key", "absent", "(ENOENT)"),
        ("key_password_file", "ca.crt", "client.crt", "locked.key", "empty", "first line is empty"),
    ],
)
def test_a_tls_file_that_cannot_be_used_is_named(files, named, ca, cert, key, password, reason):
    given_files = {"ca_file": ca, "cert_file": cert, "key_file": key, "key_password_file": password}
    paths = {name: str(files / file) for name, file in given_files.items() if file}
    with pytest.raises(ConfigError) as caught:
        tls_context(BrokerSettings(**paths))
    assert f"broker.{named}: " in str(caught.value) and reason in str(caught.value)
    assert paths.get(named, paths.get("cert_file", "-")) in str(caught.value)
    assert "expected" in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_of_somebody_else_is_named(tmp_path):
    (tmp_path / "ca.crt").touch(0o000)
    with pytest.raises(ConfigError, match=r"Permission denied \(EACCES\)"):
        tls_context(BrokerSettings(ca_file=str(tmp_path / "ca.crt")))


@pytest.fixture
def tls_broker(mosquitto, files):
    return mosquitto(
        listener=[f"cafile {files / 'ca.crt'}", f"certfile {files / 'server.crt'}", f"keyfile {files / 'server.key'}",
                  "require_certificate true"]
    )  # fmt: skip


@pytest.mark.broker
def test_an_encrypted_key_logs_in_by_its_password_file(tls_broker, files):
    more = {name: str(files / file) for name, file in (("ca_file", "ca.crt"), ("cert_file", "client.crt"),
            ("key_file", "locked.key"), ("key_password_file", "opens"))}  # fmt: skip
    assert ping(BrokerSettings(url=f"mqtts://127.0.0.1:{tls_broker.port}", **more), "vedette/s/d/check")[0].ok


@pytest.mark.broker
def test_an_expired_certificate_of_ours_is_named_and_its_successor_counts(
    tls_broker, files, publish, tmp_path
):
    for part in ("crt", "key"):
        (tmp_path / f"own.{part}").write_bytes((files / f"ended.{part}").read_bytes())
    own = {"cert_file": str(tmp_path / "own.crt"), "key_file": str(tmp_path / "own.key")}
    running = publish(f"mqtts://127.0.0.1:{tls_broker.port}", ca_file=str(files / "ca.crt"), **own)
    running.until(lambda p: p.connection.failure == ConnectionFailure.CLIENT_CERTIFICATE.value)
    reason = running.publisher.connection.reason
    assert (
        f"the client certificate {own['cert_file']} (broker.cert_file) ended on 2001-01-01 00:00 UTC"
        in reason
    )
    for part in ("crt", "key"):
        (tmp_path / f"own.{part}").write_bytes((files / f"client.{part}").read_bytes())
    running.until(lambda p: p.connection.state == "connected", 30)


# -- an authentication method of MQTT 5 ----------------------------------------------------------------------


def test_a_token_is_sent_as_the_data_of_a_method_by_the_agent_by_check_and_by_readers(
    publish, drafts, tmp_path
):
    (tmp_path / "token").write_text(jwt(exp=time.time() + 3600))
    token = (tmp_path / "token").read_text()
    with closing(strict_broker.StrictBroker(pause=0.0, token=("OAUTH2-JWT", token))) as broker:
        how = {"token_command": (Secret("cat"), Secret(str(tmp_path / "token"))), "auth_method": "OAUTH2-JWT"}
        settings = BrokerSettings(url=Masked(broker.url), username="box-7", **how)
        assert ping(settings, "vedette/s/d/check")[0].ok
        running = publish(broker.url, username="box-7", **how)
        running.publisher.publish(drafts.host())
        running.until(lambda p: p.statistics().get("delivered_total") == 1)
        with Subscriber(settings) as subscriber:
            assert subscriber.connected
    for connect in broker.connects:
        assert not connect[7] & 0x40 and connect[7] & 0x80, "a user name, and no password"


def test_a_broker_that_knows_no_such_method_says_so_and_no_password_goes_out_in_another_version(
    mosquitto,
):
    settings = BrokerSettings(
        url=Masked(mosquitto().url), password=Secret("hunter2"), auth_method="OAUTH2-JWT"
    )
    found = ping(settings, "vedette/s/d/check")[0]
    assert not found.ok and "method" in found.reason and "hunter2" not in found.reason


@pytest.mark.parametrize("more", [{"protocol": "3.1.1"}, {"auth_method": "a\nb"}, {"auth_method": "ü"}])
def test_a_method_that_cannot_be_used_is_refused_with_its_key(more):
    with pytest.raises(ConfigError) as caught:
        BrokerSettings(**{"auth_method": "OAUTH2-JWT", **more})
    assert caught.value.key == "auth_method"
