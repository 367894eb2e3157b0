"""What each page holds for people: links that lead back, marks, times, controls, files to take along, a phone."""

import csv
import io
import json

import pytest

from tests.dashboard.web.browser import NEEDED, NOW, Shown
from tests.dashboard.web.conftest import alert, camera_window, rfc3339, window

pytestmark = NEEDED
EVIL = "=cmd|'/C calc'!A0\"><img src=x onerror=alert(1)>"
LONG = "a-name-without-any-break-" + "x" * 34


def status(state, **fields):
    return {
        "state": state,
        "since": rfc3339(NOW - 3000),
        "version": "1.2",
        "started_at": rfc3339(NOW - 3000),
        **fields,
    }


def hour(publish, device="box", camera="front", **fields):
    """An hour of a camera, by day and from the half hour on by night, and of its box."""
    for minute in range(0, 61, 5):
        end = NOW - 3600 + 60 * minute
        light = {"light_mode": "day" if minute < 30 else "night"} if minute in {0, 30} else {}
        body = camera_window(end, detections_per_frame=3.0 if minute < 30 else 1.0, **light, **fields)
        publish(f"camera/{camera}", body, device=device)
        publish("host", window(end, 300.0, cpu_ratio=0.5, cpu_clock_hertz=2e9), device=device)


def agent(publish, *devices):
    """Answers commands for devices as an agent does; the commands that came, and what is in force."""
    got, kept = [], []

    def answer(_client, _data, message):
        _, _, device, _, name = message.topic.split("/")
        body = json.loads(message.payload)
        got.append((name, body["args"]))
        args, found = body["args"], {"ok": True}
        if name == "mute":
            control = {"id": "c1", "kind": "mute", "who": args["who"], "why": args.get("why", ""), "at": NOW}
            kept.append(control | {"until": NOW + 3600, "labels": {"camera": args["camera"]}})
            found["control"] = kept[-1]
        elif name == "undo":
            found["control"] = kept.pop()
        elif name == "controls":
            found["controls"] = kept
        elif name == "snapshot":
            found = {"ok": False, "error": "command 'snapshot' is not allowed"}
        publish.client.publish(f"vedette/north/{device}/reply/{body['id']}", json.dumps(found))

    publish.client.on_message = answer
    for device in devices:
        publish.client.subscribe(f"vedette/north/{device}/command/#", qos=1)
    return got


def saved(page, *selectors):
    """The texts of the files that a click on each of `selectors` saves, by name."""
    page.js(
        "(window.files = {}, URL.createObjectURL = (blob) => { window.last = blob; return '#'; },"
        " HTMLAnchorElement.prototype.click = function () { if (this.download) window.files[this.download] = window.last.text(); }, true)"
    )
    for number, selector in enumerate(selectors):
        page.js(f"(document.querySelector({json.dumps(selector)}).dispatchEvent(new Event('click')), true)")
        page.until(lambda wanted=number + 1: page.js("Object.keys(window.files).length") >= wanted)
    return page.driver.execute_async_script(
        "const done = arguments[0]; Promise.all(Object.entries(window.files).map(async ([name, text]) => [name, await text]))"
        ".then((all) => done(Object.fromEntries(all)));"
    )


def button(page, text, within="main"):
    """A selector for the button with this text."""
    script = (
        f"[...document.querySelectorAll('{within} button')].find((one) => one.textContent === {json.dumps(text)})"
        ".setAttribute('data-wanted', '1')"
    )
    page.until(lambda: page.js(f"({script}, true)"))
    page.driver.execute_script(
        "for (const one of document.querySelectorAll('[data-wanted=\"0\"]')) one.removeAttribute('data-wanted')"
    )
    return f"{within} button[data-wanted='1']"


def test_restarts_reloads_and_models_are_marks_on_every_curve_and_times_are_the_viewers_with_utc(
    page, mosquitto, publish, tmp_path
):
    hour_ago = {
        "time": rfc3339(NOW - 3500),
        "config_sha256": "a1" * 32,
        "model_sha256": "m1",
        "cameras": "front",
    }
    with Shown(page, mosquitto.url, data=tmp_path / "data") as web:
        publish("status", status("online", started_at=rfc3339(NOW - 5000)), retain=True)
        publish("info", hour_ago, retain=True)
        hour(publish)
        publish("info", {**hour_ago, "time": rfc3339(NOW - 2400), "config_sha256": "b2" * 32}, retain=True)
        publish(
            "info",
            {**hour_ago, "time": rfc3339(NOW - 1200), "config_sha256": "b2" * 32, "model_sha256": "m2"},
            retain=True,
        )
        publish(
            "status", status("online", since=rfc3339(NOW - 600), started_at=rfc3339(NOW - 600)), retain=True
        )
        web.until(lambda: len(web.get(f"/api/marks?site=north&device=box&from={NOW - 3600}&to={NOW}")) >= 6)
        for path, charts in (
            ("/#/device/north/box?range=3600", 2),
            ("/#/camera/north/box/front?range=3600", 4),
        ):
            page.open(web, path)
            page.until(
                lambda many=charts: (
                    page.js("document.querySelectorAll('.chart:not([hidden]) .u-over').length") >= many
                )
            )
            for ago, words in ((2400, "config: reloaded: b2b2"), (1200, "model: m2"), (600, "restart: ")):
                named = page.js(
                    "[...document.querySelectorAll('.chart:not([hidden])')].filter((chart) => chart.querySelector('.u-over'))"
                    ".map((chart) => { const over = chart.querySelector('.u-over');"
                    " const box = over.getBoundingClientRect(); over.dispatchEvent(new MouseEvent('mousemove', { bubbles: true,"
                    f" clientX: box.left + box.width * {(3600 - ago) / 3600}, clientY: box.top + 40 }}));"
                    " return chart.querySelector('figcaption span').textContent; })"
                )
                assert named and all(words in one for one in named), (path, named)
            page.shows("config", "reloaded: b2b2", "restart", "model", selector=".marks")
        assert page.js("document.querySelector('.marks time').textContent") == "Nov 19, 19:50:00"  # UTC+5:30
        assert page.js("document.querySelector('.marks time').title") == "2026-11-19 14:20:00 UTC"
        assert "UTC" in page.text(".u-legend") and "UTC" in page.js("document.querySelector('.piece').title")


def test_a_camera_is_muted_for_a_time_with_keys_alone_and_what_is_in_force_can_be_undone(
    page, mosquitto, publish
):
    keys = pytest.importorskip("selenium.webdriver.common.keys").Keys
    got = agent(publish, "box")
    publish("status", status("online"), retain=True)
    publish("camera/front", camera_window(NOW))
    with Shown(page, mosquitto.url) as web:
        web.until(lambda: web.get("/api/fleet")["note"].get("connected"))
        page.open(web, "/#/camera/north/box/front")
        page.shows("Muted, snoozed, acknowledged")

        def tab_to(text):
            for _ in range(80):
                page.press(keys.TAB)
                if (
                    page.js("document.activeElement.placeholder || document.activeElement.textContent")
                    == text
                ):
                    return
            raise AssertionError(text)

        tab_to("Why (goes to the agent)")
        page.press("painters")
        tab_to("Mute front")
        page.press(keys.ENTER)
        page.shows("done mute, c1, by local, until Nov 19, 21:00:00", selector=".answer")
        tab_to("What is in force?")
        page.press(keys.ENTER)
        page.shows("mute", "camera front", "local", "painters", selector="table")
        tab_to("Undo")
        page.press(keys.ENTER)
        page.shows("nothing is in force")
        assert [name for name, _ in got] == ["mute", "controls", "undo", "controls"]
        assert got[0][1] == {"camera": "front", "for": "1h", "why": "painters", "who": "local"}


def test_what_stands_for_a_camera_is_on_its_page_and_who_acknowledged_on_the_alert(page, mosquitto, publish):
    publish("status", status("online"), retain=True)
    publish(
        "advice/front",
        {
            "action": "mend",
            "words": "clean the lens",
            "command": "vedette drift explain",
            "for_it": "haze; glare",
            "cause": "blur",
            "cause_confidence": 0.8,
        },
        retain=True,
    )
    publish(
        "accuracy/front",
        {
            "f1_ratio": 0.9,
            "f1_low_ratio": 0.85,
            "f1_high_ratio": 0.95,
            "frames_labelled": 120,
            "evaluated_at": rfc3339(NOW),
        },
        retain=True,
    )
    act = {"acknowledged": {"who": "ada", "why": "on it", "at": NOW - 60}}
    for device in ("box", "other"):
        publish(
            "alert/a",
            alert(NOW, "same-id", what=f"slow on {device}", controls=act if device == "other" else {}),
            retain=True,
            device=device,
        )
    with Shown(page, mosquitto.url) as web:
        estimate = {
            "accuracy_estimate_ratio": 0.8,
            "accuracy_estimate_low_ratio": 0.6,
            "accuracy_estimate_high_ratio": 0.9,
        }
        hour(publish, **estimate, accuracy_estimate_trust=0.7)
        web.until(lambda: len(web.get("/api/alerts")) == 2)
        page.open(web, "/#/camera/north/box/front?range=3600")
        page.shows("clean the lens", "vedette drift explain", "80 % sure of the cause", selector=".advice")
        page.shows(
            "F1",
            "90 %",
            "in 95 of 100 draws 85 % to 95 %",
            "F1, estimated without labels, trust 70 %",
            "in 9 of 10 cases 60 % to 90 %",
            "120 labelled frames",
            selector=".estimates",
        )
        page.shows("Day and night", "Boxes a frame", "3.00", "1.00")
        assert page.js(
            "[...document.querySelectorAll('.piece.day, .piece.night')].map((one) => one.textContent)"
        ) == ["day", "night"]
        page.open(web, "/#/alerts?id=same-id&site=north&device=other")  # two devices have an alert of this id
        page.shows("slow on other", "acknowledged by ada")
        assert page.js("document.title") == "(2) Alerts · Vedette"
        opened = page.js("[...document.querySelectorAll('.alert[open] .what')].map((one) => one.textContent)")
        assert opened == ["slow on other"]
        assert "on it" in page.js("document.querySelector('.controls .badge').title")


@pytest.mark.slow
def test_a_device_that_is_cut_off_is_an_alert_with_its_runbook_and_resolves(page, mosquitto, publish):
    publish("status", status("online"), retain=True)
    with Shown(page, mosquitto.url) as web:
        page.open(web, "/#/alerts")
        page.shows("Nothing fires")
        publish("status", status("offline", reason="connection lost"), retain=True)
        page.shows("the device is offline: connection lost", "critical", selector=".alertlist")
        page.click(".alertlist summary")
        page.shows("Is the box powered", selector=".runbook")
        publish("status", status("online", since=rfc3339(NOW)), retain=True)
        page.shows("resolved", selector=".alertlist")


def test_files_to_take_along_hold_what_is_shown_and_nothing_that_runs(page, mosquitto, publish):
    agent(publish, "box")
    publish("status", status("online", reason=EVIL, version=EVIL[:50]), retain=True)
    publish("info", {"cameras": "front", "model_name": EVIL, "time": rfc3339(NOW)}, retain=True)
    publish("alert/a", alert(NOW, EVIL[:50], what=EVIL, advice=EVIL, rule=EVIL[:50]), retain=True)
    publish("info", {"model_name": EVIL}, retain=True, device=EVIL.replace("/", "_"))  # a ghost
    with Shown(page, mosquitto.url) as web:
        hour(publish, state_reason=EVIL, drift_feature=EVIL)
        web.until(lambda: (row := web.rows().get("box")) and row["firing"] == 1 and row["cameras"] == 1)
        files = {}
        for path, texts in (
            ("/#/", ["CSV"]), ("/#/alerts", ["CSV"]), ("/#/ghosts", ["CSV"]),
            ("/#/device/north/box?range=3600", ["CSV", "Report"]), ("/#/camera/north/box/front?range=3600", ["CSV", "Report"]),
        ):  # fmt: skip
            page.open(web, path)
            page.until(
                lambda: page.js(
                    "document.querySelector('.row, .alert, .ghost, .chart:not([hidden]) canvas') !== null"
                )
            )
            for text in texts:
                files |= saved(page, button(page, text))
                page.driver.execute_script(
                    "document.querySelector('[data-wanted]').setAttribute('data-wanted', '0')"
                )
        tables = {
            name: list(csv.reader(io.StringIO(text))) for name, text in files.items() if name.endswith(".csv")
        }
        assert set(tables) == {
            "fleet.csv",
            "alerts.csv",
            "ghosts.csv",
            "north-box-curves.csv",
            "north-box-front-curves.csv",
        }
        for name, rows in tables.items():
            assert len(rows) >= 2 and not [
                cell for row in rows for cell in row if cell.startswith(("=", "@", "+"))
            ], name
        assert (
            "host.cpu_ratio" in tables["north-box-curves.csv"][0]
            and len(tables["north-box-curves.csv"]) == 14
        )
        reports = [text for name, text in files.items() if name.endswith(".html")]
        assert len(reports) == 2
        for text in reports:
            assert "<script" not in text and "<img src=x" not in text and "default-src 'none'" in text
        assert (
            "no image: command &#x27;snapshot&#x27; is not allowed" in reports[1]
            or "not allowed" in reports[1]
        )


@pytest.mark.slow
def test_every_page_fits_a_phone_whatever_things_are_called(page, mosquitto, publish):
    name = LONG
    publish("status", status("degraded", reason=LONG * 4), retain=True, device=name)
    publish("info", {"cameras": LONG, "model_name": LONG, "time": rfc3339(NOW)}, retain=True, device=name)
    publish(
        "alert/a",
        alert(NOW, LONG, what=LONG * 3, advice=LONG * 3, evidence={LONG: LONG}),
        retain=True,
        device=name,
    )
    publish(
        "advice/" + LONG,
        {"action": "mend", "words": LONG * 3, "command": LONG * 3, "for_it": LONG * 3},
        retain=True,
        device=name,
    )
    publish("info", {"cameras": LONG}, retain=True, device="ghost")
    page.set_width(390, 844)
    with Shown(page, mosquitto.url) as web:
        hour(publish, device=name, camera=LONG, **{"drift_" + "y" * 60 + "_ratio": 0.9})
        web.until(lambda: (row := web.rows().get(name)) and row["cameras"] == 1)
        for path, text in (
            ("/#/", "degraded"), (f"/#/device/north/{name}?range=3600", "What it is"), (f"/#/camera/north/{name}/{LONG}?range=3600", "Day and night"),
            (f"/#/alerts?id={LONG}", "To do"), ("/#/ghosts", "retained"),
        ):  # fmt: skip
            page.open(web, path)
            page.shows(text)
            wide = page.js(
                "[...document.querySelectorAll('body *')].filter((one) => one.getBoundingClientRect().right > 391 && getComputedStyle(one.parentElement).overflowX === 'visible').map((one) => one.className || one.tagName).slice(0, 5)"
            )
            assert page.js("document.documentElement.scrollWidth") <= 390, (path, wide)
