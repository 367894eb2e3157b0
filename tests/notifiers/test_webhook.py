from __future__ import annotations

import base64

import pytest

from agent.core.errors import PermanentDelivery, RetryableDelivery
from agent.notifiers.webhook import LONGEST_TEXT, WebhookNotifier, WebhookOptions


def test_slack_reads_a_text_with_its_special_characters_escaped(receiver, make_notice):
    WebhookNotifier(WebhookOptions(url=f"{receiver.url}/services/T0/B0/XX")).send(make_notice())
    path, headers, body = receiver.received[0]
    assert (path, headers["Content-Type"]) == ("/services/T0/B0/XX", "application/json")
    assert list(body) == ["text"]
    assert body["text"].startswith(
        "*CRITICAL: edge-1: camera front is down: connection refused*\n[critical] "
    )
    assert "expected: online" in body["text"]
    assert "to do: Check power &amp; cable &lt;now&gt;." in body["text"]


def test_a_long_text_is_cut(receiver, make_notice, make_alert):
    alerts = [make_alert(f"rule{number}", advice="long " * 100) for number in range(20)]
    WebhookNotifier(WebhookOptions(url=receiver.url)).send(make_notice(*alerts))
    assert len(receiver.bodies()[0]["text"]) == LONGEST_TEXT + 1


def test_programs_get_the_alerts_whole(receiver, make_notice):
    options = WebhookOptions(url=receiver.url, format="json", authorization="Bearer token")
    WebhookNotifier(options).send(make_notice(snapshot=b"\xff\xd8jpeg"))
    _, headers, body = receiver.received[0]
    assert headers["Authorization"] == "Bearer token"
    assert body["alerts"][0]["rule"] == "camera_down"
    assert base64.b64decode(body["picture_jpeg"]) == b"\xff\xd8jpeg"


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_later(receiver, make_notice, status):
    receiver.answers = [status]
    with pytest.raises(RetryableDelivery, match=f"127.0.0.1 answered {status}"):
        WebhookNotifier(WebhookOptions(url=receiver.url)).send(make_notice())


@pytest.mark.parametrize("status", [301, 307, 400, 403, 404, 410])
def test_never(receiver, make_notice, status):
    receiver.answers = [status]
    with pytest.raises(PermanentDelivery, match=f"answered {status}"):
        WebhookNotifier(WebhookOptions(url=receiver.url)).send(make_notice())
    assert len(receiver.received) == 1


def test_a_server_that_does_not_answer_is_given_up_in_time(receiver, make_notice):
    receiver.delay = 3.0
    with pytest.raises(RetryableDelivery, match="no answer in time"):
        WebhookNotifier(WebhookOptions(url=receiver.url, timeout=0.3)).send(make_notice())
