"""`mask` takes what is, or may be, secret out of every text."""

import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agent.core.errors import CameraError, CameraFailure, ConfigError, ConfigErrors
from agent.core.masking import mask
from agent.core.secret import Masked

HEADS = [
    "rtsp://{}",
    "cannot open rtsp://{}: refused",
    'location="rtsp://{}" ! fakesink',
    "a\nb rtsp://{}\nc",
]
URLS = [
    "USER-S:PW-S@host/live",
    "USER-S:PW-S@10.0.0.9:554/live?channel=1",
    "USER-S@host",
    "USER-S:P@PW-S@host/live",
    "USER-S:P/PW-S@host/live",
    "USER-S:P#PW-S@host/live",
    "USER-S:P?PW-S@host/live",
    "USER-S:P[PW-S]@host/live",
    "USER-S:12/PW-S@host/live",
    "USER-S:P@PW-S/PW-S@host/live",
    "USER-S:P'PW-S\"@host/live",
    "USER-S:P PW-S@host/live",
    "host/x?user=USER-S&pwd=PW-S",
    "host/x?token=PW-S",
    "host/x?PW-S",
    "host/x?a=1#access_token=PW-S",
    "host/x?pw=P@PW-S&tok=USER-S",
    "host/user=USER-S&password=PW-S&channel=1",
    "host/user=USER-S_password=PW-S_channel=1_stream=0.sdp",
    "10.0.0.9/USER-S:PW-S@/ch1",
    "10.0.0.9:554/live/USER-S:P/PW-S@ch1",
    "host/token/PW-S/live",
    "host/api/key/PW-S",
    "host/bot123:PW-S/sendMessage",
    "host/services/T00/PW-S/USER-S",
    "host/api/webhooks/123/PW-S",
]


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("url", URLS)
def test_no_part_of_a_login_stays_in_a_text(url, head):
    shown = mask(head.format(url))
    assert "USER-S" not in shown
    assert "PW-S" not in shown
    assert shown.startswith(head.partition("{}")[0])
    assert mask(shown) == shown


@pytest.mark.parametrize("url", URLS)
def test_no_part_of_a_login_stays_in_a_lone_url(url):
    shown = f"{Masked('rtsp://' + url)}"
    assert "USER-S" not in shown
    assert "PW-S" not in shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("rtsp://u:p@h:1/a", "rtsp://***@h:1/a"),
        ("rtsp://u:p/q@h/a", "rtsp://***@h/a"),
        ("rtsp://h/c.cgi?user=a&pwd=b&x=1", "rtsp://h/c.cgi?user=***&pwd=***&x=***"),
        ("rtsp://10.0.0.9:554/live", "rtsp://10.0.0.9:554/live"),
        ("rtsp://[fd00::1]:554/live", "rtsp://[fd00::1]:554/live"),
        ("rtsp://10.0.0.9/live@1", "rtsp://10.0.0.9/***@1"),
        ("rtmp://h:1935/live/stream-key", "rtmp://h:1935/live/***"),
        ("RTMPS://u:p/q@h/live/a/b?x=1", "RTMPS://***@h/live/***"),
        ("rtmp://h/live", "rtmp://h/live"),
        ("/videos/token/a@b.mp4", "/videos/token/a@b.mp4"),
        (
            "give rtsp://HOST[:PORT]/PATH or mqtt://HOST:PORT.",
            "give rtsp://HOST[:PORT]/PATH or mqtt://HOST:PORT.",
        ),
        ("slack://A/B/C", "slack://***"),
        ("tgram://123:ABC/1", "tgram://***"),
        ("see http://h/x, then (http://h/y).", "see http://h/x, then (http://h/y)."),
        ("docs/runbooks/no_frames.md#what-to-do", "docs/runbooks/no_frames.md#what-to-do"),
        ("https://wiki/page#what-to-do", "https://wiki/page#what-to-do"),
        ("rtspsrc user-id=me user-pw='a b' ! x", "rtspsrc user-id=*** user-pw=*** ! x"),
        ('password = "abc', "password = ***"),
        ('{"password": "a b", "port": 1}', '{"password": ***, "port": 1}'),
        (
            "broker.password: is a number; expected a string",
            "broker.password: is a number; expected a string",
        ),
        ("password_file=/etc/x compass=90 tokens=4", "password_file=/etc/x compass=90 tokens=4"),
        ("Authorization: Basic dTpw", "Authorization: ***"),
        ("sent Bearer abc.def", "sent Bearer ***"),
        ("basic authentication", "basic authentication"),
        ("url: /bot123:ABC/sendMessage", "url: /bot***/sendMessage"),
        ("POST /services/T0/B0/XX failed", "POST /services/*** failed"),
        ("cannot reach me:pw@broker", "cannot reach ***@broker"),
        ("frames=5 of 10 at 10:30", "frames=5 of 10 at 10:30"),
    ],
)
def test_what_is_shown(text, shown):
    assert mask(text) == shown
    assert mask(shown) == shown


SIGNS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x2FF, exclude_characters="<>`"), max_size=12)


@given(SIGNS, SIGNS, st.sampled_from(["{}:{}@host/x", "host/x?user={}&pwd={}", "host/user={}&password={}"]))
@example("1", "/", "{}:{}@host/x")
def test_whatever_signs_a_password_has(user, password, form):
    user, password = f"Q9{user}", f"Q8{password}Q8"
    shown = str(Masked("rtsp://" + form.format(user, password)))
    assert "Q8" not in shown
    assert "Q9" not in shown


@given(st.text())
def test_masking_twice_is_masking_once(text):
    assert mask(mask(text)) == mask(text)


@pytest.mark.parametrize(
    "piece",
    [
        "a",
        "a://",
        "://",
        "@",
        "=",
        "password=",
        '"',
        "a:",
        "/",
        "_a=",
        "rtsp://a:b c",
        "?",
        "&",
        "rtsp://h/user=",
        "bearer ",
        "rtsp://u:p\n",
    ],
)
def test_no_text_takes_long(piece):
    text = "rtsp://h/" + piece * (200_000 // len(piece))
    began = time.process_time()
    mask(text)
    mask(text[9:])
    assert time.process_time() - began < 3


def test_an_error_masks_what_it_quotes():
    said = "rtsp://user:S3cret@h/x?token=S3cret: password=S3cret"
    errors = [ConfigError(said), ConfigErrors([ConfigError(said), ConfigError(said)])]
    errors.append(CameraError(said, kind=CameraFailure.OTHER))
    for error in errors:
        assert "S3cret" not in str(error) + repr(str(error))
    assert "expected mqtt://HOST:PORT" in str(ConfigError("x", expected="mqtt://HOST:PORT"))
