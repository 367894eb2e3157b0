"""The pages in headless Chromium, fed by a real broker at a fixed time. Any error in the console fails."""

import base64
import json

import numpy as np
import pytest

from agent.core.kll import Sketch
from agent.dashboard.web.access import Sessions, read_users, write_user
from agent.dashboard.web.guard import Access
from tests.dashboard.web.browser import NEEDED, NOW, Shown
from tests.dashboard.web.conftest import alert, camera_window, rfc3339, window

pytestmark = NEEDED
EVIL = '"><img src=x onerror=alert(1)><script>alert(2)</script>'
NAME = '"><img src=x onerror=alert(1)>'  # a level of a topic: no slash


def status(state, **fields):
    return {"state": state, "since": rfc3339(NOW), "version": "1.2", **fields}


def reference_answer(now):
    """What a device answers to `drift_feature`: 40 before, 20 now."""

    def text(value):
        sketch = Sketch()
        sketch.update(np.full(50, value, np.float32))
        return base64.b64encode(sketch.to_bytes()).decode()

    return {
        "ok": True, "feature": "brightness", "reference": "abc", "provisional": False, "hours": [13],
        "normal_kll": text(40), "recent_kll": text(20), "start": rfc3339(now - 60), "end": rfc3339(now),
        "verdict": {"end": rfc3339(now), "ratio": 2.0, "alarm": True, "words": "it is darker\nscore 8"},
    }  # fmt: skip


def test_a_device_comes_goes_and_returns_an_alert_is_acknowledged_and_resolves(
    page, mosquitto, publish, tmp_path
):
    references = [
        {"ok": False, "error": "command 'drift_feature' is not allowed"},
        reference_answer(NOW),
    ]

    def answer(_client, _data, message):
        body, name = json.loads(message.payload), message.topic.rpartition("/")[2]
        got = {"ok": True, "control": {"id": "c1", "kind": name, "who": body["args"].get("who")}}
        if name == "drift_feature":
            got = references.pop(0) if len(references) > 1 else references[0]
        publish.client.publish(f"vedette/north/box/reply/{body['id']}", json.dumps(got))

    publish.client.on_message = answer
    publish.client.subscribe("vedette/north/box/command/#", qos=1)
    now = NOW
    with Shown(page, mosquitto.url, data=tmp_path / "data") as web:
        page.open(web)
        page.shows("No device has published yet")
        publish("status", status("online"), retain=True)
        page.shows("box", "online", selector=".body .row")
        publish("status", status("offline"), retain=True)
        page.shows("offline", selector=".body .row")
        publish("status", status("online"), retain=True)
        page.shows("online", selector=".body .row")
        for minute in range(3):
            publish(
                "camera/front",
                camera_window(now - 120 + 60 * minute, drift_ratio=1.5, drift_brightness_ratio=1.5),
            )
        publish("alert/a", alert(now), retain=True)
        page.shows("1.50", selector=".body .row .drift")
        page.click("#nav a[href='#/alerts']")
        page.shows("camera front is slow", selector=".alertlist")
        page.click(".alertlist summary")
        page.shows("To do: look at the GPU", "Runbook", selector=".about")
        page.click(".actions button.primary")
        page.shows("done acknowledge, c1, by local", selector=".answer")
        publish("alert/a", alert(now + 1, state="resolved"))
        publish("alert/a", retain=True)
        page.shows("resolved", selector=".alertlist")
        page.open(web, "/#/camera/north/box/front")
        page.shows("front", "online", "brightness", selector="main")
        page.click(".heatrow button")
        page.shows("has sent no sketch", "'drift_feature' is not allowed", selector=".compared")
        page.click(".heatrow button")
        page.shows("now against the reference", "13–14 UTC", "it is darker", selector=".compared")
        page.until(lambda: page.js("document.querySelector('.compared canvas') !== null"))
        share = "document.querySelector('.piece.unknown').offsetWidth / document.querySelector('.strip').offsetWidth"
        assert (
            page.js(share) > 0.8
        )  # of a quarter of an hour two minutes are known: so much is shown of a new camera
        assert page.js("document.querySelectorAll('.chart:not([hidden]) canvas').length") >= 4
    with Shown(page, mosquitto.url, data=tmp_path / "data") as web:  # the curves are still there
        page.open(web, "/#/camera/north/box/front")
        page.until(lambda: page.js("document.querySelectorAll('.chart:not([hidden]) canvas').length") >= 4)
        page.open(web, "/#/alerts?state=past")
        page.shows("camera front is slow", selector=".alertlist")


def test_nothing_that_a_broker_sends_becomes_part_of_the_page(page, mosquitto, publish):
    now = NOW
    publish("status", status("online", reason=EVIL, version=EVIL[:40]), retain=True, device=NAME)
    publish(
        "info", {"cameras": f"{NAME},{EVIL}", "model_name": EVIL, "os_name": EVIL}, retain=True, device=NAME
    )
    texts = dict.fromkeys(("what", "expected", "window", "advice", "rule", "severity", "runbook"), EVIL)
    publish(
        "alert/a",
        alert(now, EVIL[:60], evidence={EVIL: EVIL, "limit": EVIL}, controls={"snoozed": EVIL}, **texts),
        retain=True,
        device=NAME,
    )
    publish("status", b'{"state": 1e999}', retain=True, device="odd")
    publish("camera/front", b"[" * 5000, device="odd")
    with Shown(page, mosquitto.url) as web:
        web.until(lambda: NAME in web.rows())
        publish(
            f"camera/{NAME}",
            camera_window(now, **{"detections_<img src=x onerror=alert(1)>": 3}, drift_feature=EVIL),
            device=NAME,
        )
        publish("host", window(now, cpu_ratio=0.2), device=NAME)
        web.until(lambda: (row := web.rows()[NAME])["firing"] == 1 and row["cameras"] == 1)
        page.open(web)
        page.shows(NAME, selector=".table")
        link = page.js(
            "[...document.querySelectorAll('.row a')].find((a) => a.textContent.includes('onerror')).hash"
        )
        page.open(web, f"/{link}")
        page.shows(NAME, "What it is", selector="main")
        page.click(".cards a")
        page.shows("Drift", selector="main")
        page.open(web, "/#/alerts")
        page.click(".alertlist summary")
        page.shows("Evidence", selector=".about")
        assert (
            page.js("document.querySelectorAll('img:not([src=\"/static/icon.svg\"]), main script').length")
            == 0
        )


def test_broker_and_dashboard_may_restart_under_an_open_page(page, mosquitto, publish):
    with Shown(page, mosquitto.url) as web:
        publish("status", status("online"), retain=True)
        page.open(web)
        page.shows("box", "online", selector=".table")
        page.shows("Live", selector="#status")
        mosquitto.stop()
        page.shows("Broker away", selector="#status")
        mosquitto.start()
        page.shows("Live", selector="#status", timeout=110)
        page.until(publish.client.is_connected)
        publish("status", status("degraded"), retain=True)
        page.shows("degraded", selector=".table")


def test_the_keyboard_alone_is_enough_and_a_link_leads_back_to_the_same_view(page, mosquitto, publish):
    keys = pytest.importorskip("selenium.webdriver.common.keys").Keys
    for name in ("dock-1", "dock-2", "gate-1"):
        publish("status", status("online"), retain=True, device=name)
    with Shown(page, mosquitto.url) as web:
        web.until(lambda: len(web.rows()) == 3)
        page.open(web)
        page.shows("gate-1", selector=".table")
        page.press("/")
        page.press("dock")
        page.shows("2 of 3 devices")
        assert page.js("location.hash") == "#/?q=dock"
        for _ in range(30):  # to the first device, by tabs alone
            page.press(keys.TAB)
            if page.js("document.activeElement.closest('.body') !== null"):
                break
        page.press(keys.ARROW_DOWN)
        assert "dock-2" in page.js("document.activeElement.textContent")
        page.press(keys.ENTER)
        page.shows("dock-2", "What it is", selector="main")
        assert page.js("document.activeElement.id") == "view"  # tabs go on from here
        page.press("g", "a")
        page.shows("Nothing fires", selector="main")
        for _ in range(8):  # each left, and kept by the browser for the way back
            page.open(web, "/#/?q=gate&sort=name&dir=up")
            page.shows("1 of 3 devices", timeout=15)


def test_logging_in_and_what_a_viewer_may_not(page, mosquitto, publish, tmp_path):
    write_user(tmp_path / "users", "bob", "viewer", "another password")
    publish("alert/a", alert(NOW), retain=True)
    access = Access(sessions=Sessions(read_users(tmp_path / "users")))
    with Shown(page, mosquitto.url, access=access, allowed=["403"]) as web:  # the wrong password
        page.open(web, "/")
        page.until(lambda: page.js("document.querySelector('#login') !== null"))
        page.press("bob", "\t", "wrong password", "\n")
        page.shows("name or password is wrong", selector="#error")
        page.press("another password", "\n")
        page.shows("bob", selector="#account")
        page.press("g", "a")
        page.click(".alertlist summary")
        page.shows("Expected", selector=".about")
        assert page.js("document.querySelector('.actions .primary')") is None
        page.click("#account button:last-child")
        page.until(lambda: page.js("location.pathname") == "/login")
