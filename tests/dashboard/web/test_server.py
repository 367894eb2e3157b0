"""The dashboard on a real broker: what a device publishes is in rows, curves and alerts; who may do what."""

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import ssl
import time
import urllib.error
import urllib.request
import warnings
from concurrent.futures import ThreadPoolExecutor, wait

import pytest

from agent.core.errors import ConfigError, VedetteError
from agent.dashboard.web.access import Sessions, read_users, write_user
from agent.dashboard.web.guard import Access, is_within, parse_networks
from agent.dashboard.web.server import Options, parse_listen
from tests.certificates import openssl, self_signed
from tests.conftest import MOSQUITTO
from tests.dashboard.web.conftest import Web, alert, camera_window, rfc3339

pytestmark = [pytest.mark.broker, pytest.mark.skipif(not MOSQUITTO, reason="needs mosquitto")]


def test_what_a_device_publishes_is_shown_kept_over_a_restart_and_sent_to_who_looks(
    mosquitto, publish, tmp_path
):
    now, data = time.time(), tmp_path / "data"
    publish("status", {"state": "online", "since": rfc3339(now), "version": "1"}, retain=True)
    with Web(mosquitto.url, data=data) as web:
        web.until(lambda: web.rows().get("box", {}).get("state") == "online")
        events = web.open(f"/api/events?after={web.get('/api/fleet')['revision']}")
        publish("camera/front", camera_window(now - 60))
        publish("camera/front", camera_window(now, fps_inferred=7.0))
        publish("camera/front", camera_window(now, fps_inferred=7.0))  # twice, as MQTT may
        publish("replay/camera/front", camera_window(now - 120, fps_inferred=5.0))
        publish("alert/a", alert(now), retain=True)
        line = next(line for line in iter(events.readline, b"") if line.startswith(b"data: "))
        assert json.loads(line[6:])
        row = web.until(lambda: (found := web.rows()["box"])["firing"] and found)
        assert (row["fps"], row["p99_ms"], row["severity"]) == (7.0, 50.0, "critical")
    publish("alert/a", alert(now + 1, state="resolved"), retain=False)
    publish("alert/a", b"", retain=True)
    with Web(mosquitto.url, data=data) as web:
        path = f"site=north&device=box&entity=camera/front&from={now - 600}&to={now + 5}"
        found = web.get(f"/api/curves?fields=fps_inferred,drift_ratio&{path}")
        assert found["series"]["fps_inferred"] == [5.0, 12.5, 7.0]
        table = web.get(f"/api/curves.csv?fields=fps_inferred&{path}").splitlines()
        assert table[0] == "time,fps_inferred" and len(table) == 4
        heat = web.get(f"/api/heat?{path}")
        assert heat["features"] == ["all", "brightness"] and max(filter(None, heat["cells"][1])) == 0.4
        assert web.get("/api/states?" + path)[-1]["text"] == "online"


def test_a_command_reaches_the_agent_and_its_answer_the_page(mosquitto, publish):
    def answer(_client, _data, message):
        body = json.loads(message.payload)
        publish.client.publish(
            f"vedette/north/box/reply/{body['id']}", json.dumps({"ok": True, "got": body["args"]})
        )

    publish.client.on_message = answer
    publish.client.subscribe("vedette/north/box/command/#", qos=1)
    with Web(mosquitto.url) as web:
        web.until(lambda: web.get("/api/fleet")["note"].get("connected"))
        asked = {
            "site": "north",
            "device": "box",
            "command": "acknowledge",
            "args": {"id": "a", "why": "on it"},
        }
        token = web.get("/api/me")["token"]
        assert web.post("/api/command", asked)[0] == 403  # without the page's token
        assert web.post("/api/command", asked, **{"x-csrf-token": token, "origin": "http://evil"})[0] == 403
        status, got, _ = web.post("/api/command", asked, **{"x-csrf-token": token})
        assert status == 200 and got["got"] == {"id": "a", "why": "on it", "who": "local"}
        for wrong in ({"command": "reference_remove"}, {"device": "b/+"}, {"args": 3}):
            assert web.post("/api/command", asked | wrong, **{"x-csrf-token": token})[0] == 400


def test_ghosts_are_listed_and_removed(mosquitto, publish):
    publish("info", {"cameras": "front"}, retain=True, device="old")
    with Web(mosquitto.url) as web:
        (ghost,) = web.get("/api/ghosts")
        assert ghost["device"] == "north/old" and "no status" in ghost["reason"]
        token = web.get("/api/me")["token"]
        status, answer, _ = web.post("/api/ghosts/remove", {"device": "north/old"}, **{"x-csrf-token": token})
        assert (status, answer["cleared"]) == (200, 1)
        assert web.get("/api/ghosts") == []


def test_who_waits_for_a_broker_that_hangs_holds_up_nobody_else(mosquitto):
    """Each of 60 pages asks for the ghosts: more than the server has threads."""
    with Web(mosquitto.url) as web, ThreadPoolExecutor(60) as pages:
        web.until(lambda: web.get("/api/fleet")["note"].get("connected"))
        os.kill(mosquitto.process.pid, signal.SIGSTOP)
        try:
            asking = [pages.submit(web.get, "/api/ghosts") for _ in range(60)]
            wait(asking, timeout=1.0)  # all of them are at the server, which asks a broker that says nothing
            began = time.monotonic()
            assert web.get("/api/alerts?state=past") == []
            assert time.monotonic() - began < 3.0
            assert not any(page.done() for page in asking)
        finally:
            os.kill(mosquitto.process.pid, signal.SIGCONT)
        for page in asking:
            with contextlib.suppress(urllib.error.HTTPError):  # the broker may have been given up by then
                assert page.result(60) == []


def test_an_alert_that_resolved_while_the_broker_was_away_does_not_fire_for_ever(
    mosquitto, publish, monkeypatch
):
    monkeypatch.setattr("agent.dashboard.web.recorder.RETAINED_SECONDS", 2.0)
    monkeypatch.setattr("agent.dashboard.web.recorder.EARLY_SECONDS", 2.5)
    publish("alert/a", alert(time.time()), retain=True)
    publish("alert/b", alert(time.time(), "still"), retain=True)
    with Web(mosquitto.url) as web:
        web.until(lambda: web.rows().get("box", {}).get("firing") == 2)
        publish("alert/b", alert(time.time(), "still", event="reminder"), retain=True)
        reminded = time.monotonic()
        web.until(lambda: time.monotonic() - reminded > 3)  # both still fire, long after the subscription
        assert web.rows()["box"]["firing"] == 2
        mosquitto.stop()
        web.until(lambda: not web.get("/api/fleet")["note"]["connected"])
        mosquitto.start()  # it kept nothing
        web.until(publish.client.is_connected)
        publish("alert/b", alert(time.time(), "still"), retain=True)
        (past,) = web.until(lambda: web.get("/api/alerts?state=past"), timeout=90)
        assert (past["state"], past["id"]) == ("ended", "latency_p99-front-ab12")
        web.until(lambda: web.rows()["box"]["firing"] == 1)


def test_without_a_login_only_this_machine_is_served(mosquitto):
    for listen in ("0.0.0.0:0", ":0", "[::]:0"):
        with pytest.raises(ConfigError, match="nobody has to log in"):
            web = Web(mosquitto.url)
            web.dashboard._options = Options(listen=listen)
            web.dashboard.__enter__()
    for wrong in ("8080", "localhost:65536", "localhost:" + "1" * 5000):
        with pytest.raises(ConfigError, match="HOST:PORT"):
            parse_listen(wrong)
    with Web(mosquitto.url) as web, pytest.raises(urllib.error.HTTPError, match="403"):
        web.open("/", host="evil.example")  # DNS rebinding


def test_what_keeps_a_dashboard_from_starting_is_named_with_the_mend(mosquitto, tmp_path):
    with Web(mosquitto.url, data=tmp_path / "data") as web:
        second = Web(mosquitto.url, data=tmp_path / "data")
        with pytest.raises(
            VedetteError, match=r"another dashboard \(process \d+\) writes this history.*--store"
        ):
            second.dashboard.__enter__()
        taken = Web(mosquitto.url)
        taken.dashboard._options = Options(listen=web.url.removeprefix("http://"))
        with pytest.raises(
            ConfigError, match=r"port is in use, perhaps by another dashboard.*a free port, such as"
        ):
            taken.dashboard.__enter__()
    with Web(mosquitto.url, data=tmp_path / "data"):  # the first has ended
        pass
    (tmp_path / "file").touch()
    wrong = Web(mosquitto.url, data=tmp_path / "file" / "data")
    with pytest.raises(ConfigError, match=r"cannot be written.*a folder that this user may write"):
        wrong.dashboard.__enter__()


def test_a_broker_that_is_away_is_said_with_the_reason_and_so_is_its_return(mosquitto):
    said = []
    mosquitto.stop()
    with Web(mosquitto.url, note=said.append) as web:
        web.until(lambda: "refused" in web.get("/api/fleet")["note"].get("broker_away", ""))
        assert "Connection refused; trying again. Is it running, and the address right?" in said[0]
        mosquitto.start()
        web.until(lambda: said[-1] == "works again")


def test_a_login_with_roles_and_a_limit(mosquitto, tmp_path):
    file = tmp_path / "users"
    write_user(file, "ada", "operator", "a long password")
    write_user(file, "bob", "viewer", "another password")
    assert file.stat().st_mode & 0o077 == 0
    access = Access(sessions=Sessions(read_users(file)), proxies=parse_networks(["127.0.0.2"]))
    with Web(mosquitto.url, access=access) as web:
        assert web.get("/api/fleet") is None and "<form" in web.get("/login")
        assert web.get("/api/fleet", **{"x-forwarded-user": "root"}) is None  # not from a trusted proxy
        cookies = {}
        for name, password in (("ada", "a long password"), ("bob", "another password")):
            status, _, headers = web.post("/api/login", {"name": name, "password": password})
            cookie = headers["set-cookie"]
            assert status == 200 and "HttpOnly" in cookie and "SameSite=strict" in cookie
            cookies[name] = {"cookie": cookie.partition(";")[0]}
        assert web.get("/api/fleet", **cookies["bob"])["columns"]
        me = web.get("/api/me", **cookies["bob"])
        asked = {"site": "n", "device": "d", "command": "mute", "args": {}}
        assert web.post("/api/command", asked, **cookies["bob"], **{"x-csrf-token": me["token"]})[0] == 403
        assert web.post("/api/logout", {}, **cookies["ada"])[0] == 403  # no token
        ada = web.get("/api/me", **cookies["ada"])
        assert web.post("/api/logout", {}, **cookies["ada"], **{"x-csrf-token": ada["token"]})[0] == 200
        assert web.get("/api/fleet", **cookies["ada"]) is None
        codes = [web.post("/api/login", {"name": "ada", "password": "guess"})[0] for _ in range(6)]
        assert codes == [403] * 5 + [429]
        assert web.post("/api/login", {"name": "ada", "password": "a long password"})[0] == 429


def test_every_answer_has_a_strict_policy(mosquitto):
    with Web(mosquitto.url) as web:
        for path in ("/", "/login", "/api/fleet", "/static/style.css"):
            with web.open(path) as answer:
                policy = answer.headers["content-security-policy"]
            assert (
                "default-src 'none'" in policy and "unsafe" not in policy and "trusted-types 'none'" in policy
            )
        for path in (
            "/static/../web/api.py",
            "/static/%2e%2e/web/api.py",
            "/api/nothing",
            "/api/curves?from=x",
        ):
            assert web.get(path) is None


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """Certificate and key of 127.0.0.1, self-signed; another key; the key encrypted."""
    folder = tmp_path_factory.mktemp("tls")
    self_signed(folder, names="IP:127.0.0.1")
    openssl(folder, "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "other.pem")
    openssl(folder, "pkey", "-in", "key.pem", "-aes256", "-passout", "pass:secret", "-out", "locked.pem")
    (folder / "both.pem").write_text((folder / "cert.pem").read_text() + (folder / "key.pem").read_text())
    return folder


@pytest.mark.skipif(not shutil.which("openssl"), reason="needs openssl")
def test_https_by_files_and_its_cookie_goes_nowhere_else(mosquitto, certificate, tmp_path):
    write_user(tmp_path / "users", "ada", "viewer", "a long password")
    access = Access(sessions=Sessions(read_users(tmp_path / "users")))
    trust = ssl.create_default_context(cafile=certificate / "cert.pem")
    for files in (
        {"tls_key": str(certificate / "key.pem"), "tls_cert": "cert.pem"},
        {"tls_cert": "both.pem"},
    ):
        files["tls_cert"] = str(certificate / files["tls_cert"])
        with Web(mosquitto.url, access=access, trust=trust, **files) as web:
            assert web.url.startswith("https://127.0.0.1:")
            status, _, headers = web.post("/api/login", {"name": "ada", "password": "a long password"})
            assert status == 200 and "; secure" in headers["set-cookie"].lower()
            old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                old.maximum_version = ssl.TLSVersion.TLSv1_1
            with pytest.raises(urllib.error.URLError):
                urllib.request.urlopen(web.url, context=old, timeout=20)


@pytest.mark.skipif(not shutil.which("openssl"), reason="needs openssl")
@pytest.mark.parametrize(
    ("cert", "key", "words"),
    [
        ("", "key.pem", "--tls-cert.*a key alone"), ("none.pem", "key.pem", "none.pem cannot be read"),
        ("cert.pem", "none.pem", "none.pem cannot be read"), ("cert.pem", "other.pem", "other.pem does not belong to"),
        ("cert.pem", "locked.pem", "--tls-key: the key is encrypted"), ("key.pem", "key.pem", "cannot be used"),
        ("cert.pem", "", "--tls-key where it is a file of its own"), (".", "key.pem", "cannot be read"),
    ],
)  # fmt: skip
def test_files_that_give_no_tls_are_named_before_anything_listens(certificate, cert, key, words):
    paths = {
        name: str(certificate / value) if value else ""
        for name, value in (("tls_cert", cert), ("tls_key", key))
    }
    web = Web("mqtt://127.0.0.1:1", **paths)
    with pytest.raises(ConfigError, match=words):
        web.dashboard.__enter__()


def test_a_proxys_header_counts_from_its_address_alone(mosquitto):
    access = Access(proxies=parse_networks(["127.0.0.1"]), proxy_header="Remote-User", proxy_role="operator")
    with Web(mosquitto.url, access=access) as web:
        me = web.get("/api/me", **{"remote-user": " ada\x7f"})
        assert (me["name"], me["role"]) == ("ada\\x7f", "operator")
        assert web.get("/api/me", **{"x-forwarded-user": "ada"}) is None
        assert web.get("/api/me", **{"remote-user": " "}) is None
        host, port = web.url[7:].split(":")
        asked = http.client.HTTPConnection(host, int(port), timeout=20)
        asked.putrequest("GET", "/api/me")  # one header of the client's own, which the proxy did not remove
        for name in ("root", "ada"):
            asked.putheader("Remote-User", name)
        asked.endheaders()
        assert asked.getresponse().status == 401
        asked.close()
        elsewhere = http.client.HTTPConnection(host, int(port), timeout=20, source_address=("127.0.0.9", 0))
        elsewhere.request("GET", "/api/me", headers={"Remote-User": "root"})
        assert elsewhere.getresponse().status == 401
        elsewhere.close()


def test_proxies_are_addresses_and_networks():
    networks = parse_networks(["10.0.0.5", "192.168.4.0/24", "fd00::/64"])
    for inside in ("10.0.0.5", "::ffff:10.0.0.5", "192.168.4.200", "fd00::7"):
        assert is_within(inside, networks)
    for outside in ("10.0.0.6", "192.168.5.1", "fd01::7", "", "testclient", "10.0.0.5.evil.example"):
        assert not is_within(outside, networks)
    for wrong in ("0.0.0.0/0", "::/0", "proxy.example", "10.0.0.5/8", "10.0.0", ""):
        with pytest.raises(ConfigError, match="--trust-proxy"):
            parse_networks([wrong])


@pytest.mark.parametrize("sent", [b"", b"GET /login HTT", b"GET /login HTTP/1.1\r\nhost: localhost\r\nx: "])
@pytest.mark.parametrize("kept", [False, True])
def test_a_head_that_does_not_come_keeps_no_connection(mosquitto, monkeypatch, sent, kept):
    """Of a thousand connections that there may be each waited without end: nobody else came in."""
    monkeypatch.setattr("agent.dashboard.web.connection.HEAD_SECONDS", 1.0)
    with Web(mosquitto.url) as web, socket.create_connection(("127.0.0.1", port_of(web))) as client:
        client.settimeout(60)
        if kept:  # the connection has had a request already
            client.sendall(b"GET /static/icon.svg HTTP/1.1\r\nhost: localhost\r\n\r\n")
            answer = client.recv(65536)
            while b"</svg>" not in answer:
                answer += client.recv(65536)
        client.sendall(sent)
        with contextlib.suppress(ConnectionResetError):
            assert client.recv(1) == b""


def test_a_body_that_does_not_come_is_refused_and_its_connection_ends(mosquitto, monkeypatch, tmp_path):
    monkeypatch.setattr("agent.dashboard.web.api.BODY_SECONDS", 1.0)
    monkeypatch.setattr("agent.dashboard.web.connection.HEAD_SECONDS", 1.0)
    write_user(tmp_path / "users", "ada", "operator", "a long password")
    access = Access(sessions=Sessions(read_users(tmp_path / "users")))
    with (
        Web(mosquitto.url, access=access) as web,
        socket.create_connection(("127.0.0.1", port_of(web))) as client,
    ):
        client.settimeout(60)
        client.sendall(b"POST /api/login HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\n{")
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            while piece := client.recv(65536):
                answer += piece
        assert answer.startswith(b"HTTP/1.1 400 ") and b"it takes longer than 1 s" in answer


def port_of(web):
    return int(web.url.rpartition(":")[2])
