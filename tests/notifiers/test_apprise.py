from __future__ import annotations

import logging

import pytest

pytest.importorskip("apprise")

from agent.core.errors import ConfigError, RetryableDelivery
from agent.notifiers.apprise import AppriseNotifier, AppriseOptions

JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF" + bytes(100)


def mail(port, to="night"):
    return f"mailto://127.0.0.1:{port}?from=edge@example.org&to={to}@example.org&mode=insecure"


def test_an_e_mail_arrives_with_its_picture(mailbox, make_notice):
    AppriseNotifier(AppriseOptions(urls=(mail(mailbox.port),))).send(make_notice(snapshot=JPEG))
    (message,) = mailbox.messages
    assert message["Subject"] == "CRITICAL: edge-1: camera front is down: connection refused"
    assert "night@example.org" in message["To"]
    parts = {part.get_content_type(): part.get_payload(decode=True) for part in message.walk()}
    assert b"expected: online" in parts["text/plain"]
    assert parts["image/jpeg"] == JPEG


def test_a_service_that_took_it_is_not_notified_again_when_another_refused(mailbox, receiver, make_notice):
    receiver.answers = [500, 200]
    notifier = AppriseNotifier(
        AppriseOptions(urls=(mail(mailbox.port), receiver.url.replace("http://", "json://")))
    )
    notice = make_notice()
    with pytest.raises(RetryableDelivery, match="JSON"):
        notifier.send(notice)
    notifier.send(notice)
    assert (len(mailbox.messages), len(receiver.received)) == (1, 2)
    notifier.send(make_notice(now=1_700_000_099.0))
    assert (len(mailbox.messages), len(receiver.received)) == (2, 3)


def test_a_refusal_says_why_and_shows_no_secret(make_notice):
    with pytest.raises(RetryableDelivery) as caught:
        AppriseNotifier(
            AppriseOptions(
                urls=("mailto://user:geheim@127.0.0.1:9?from=b@example.org&to=a@example.org&mode=insecure",)
            )
        ).send(make_notice())
    assert "not taken by E-Mail (" in str(caught.value)
    assert "127.0.0.1" in str(caught.value)
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (("first", "cannot reach 127.0.0.1."), " (cannot reach 127.0.0.1)"),
        (("POST to /token12345 failed",), ""),
        ((), ""),
    ],
)
def test_the_librarys_last_line_is_quoted_unless_it_shows_a_piece_of_the_address(
    make_notice, monkeypatch, lines, reason
):
    def refuse(_self, **_notice):
        for line in lines:
            logging.getLogger("apprise").warning(line)
        return False

    monkeypatch.setattr("apprise.NotifyBase.notify", refuse)
    with pytest.raises(RetryableDelivery) as caught:
        AppriseNotifier(AppriseOptions(urls=("json://127.0.0.1:9/token12345",))).send(make_notice())
    assert str(caught.value) == f"not taken by JSON{reason}"


@pytest.mark.parametrize("urls", [(), ("nonsense://",), ("mailto://",)])
def test_what_is_no_address_is_refused_without_showing_it(urls):
    with pytest.raises(ConfigError) as caught:
        AppriseNotifier(AppriseOptions(urls=urls))
    assert caught.value.key == "urls"
