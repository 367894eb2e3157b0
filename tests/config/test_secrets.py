"""No mistake in a config shows what may be secret; the settings carry it in types that cannot be rendered."""

import dataclasses

import pytest

from agent.app.kinds import KINDS
from agent.config.delivery_settings import BrokerSettings
from agent.config.fields import TYPES, key_of
from agent.config.load import load, parse
from agent.config.render import show
from agent.core.errors import ConfigError
from agent.core.secret import Secret

OPTIONS = [
    BrokerSettings,
    *(registry.load(kind).Options for registry in KINDS.values() for kind in registry),
]
FIELDS = [
    (cls, field)
    for cls in OPTIONS
    for field in dataclasses.fields(cls)
    if field.metadata.get("kind") in TYPES
]


def test_there_are_such_fields():
    assert len(FIELDS) >= 9


@pytest.mark.parametrize(("cls", "field"), FIELDS, ids=[f"{c.__name__}.{f.name}" for c, f in FIELDS])
def test_a_field_that_may_hold_a_secret_has_a_type_that_cannot_be_rendered(cls, field):
    made = TYPES[field.metadata["kind"]]
    assert field.type in {made.__name__, f"tuple[{made.__name__}, ...]"}
    text = "rtsp://S3cret:S3cretpw@h" if cls.__name__ == "StreamOptions" else "http://S3cret:S3cretpw@h"
    text = "mqtt://S3cret:S3cretpw@h" if cls is BrokerSettings else text
    many = field.type.startswith("tuple")
    required = {
        other.name: "http://h" for other in dataclasses.fields(cls) if other.default is dataclasses.MISSING
    }
    settings = cls(**{**required, field.name: (text,) if many else text})
    value = getattr(settings, field.name)
    assert all(isinstance(one, made) for one in (value if many else (value,)))
    assert "S3cret" not in repr(settings)
    assert "S3cret" not in str(dataclasses.asdict(settings))


def tables(cls):
    return {
        "BrokerSettings": "[broker]\n",
        "StreamOptions": '[[cameras]]\nname = "a"\n',
        "SnapshotOptions": '[[cameras]]\nname = "a"\nkind = "snapshot"\n',
        "GStreamerOptions": '[[cameras]]\nname = "a"\nkind = "gstreamer"\n',
        "WebhookOptions": '[[notifiers]]\nname = "a"\nkind = "webhook"\n',
        "AppriseOptions": '[[notifiers]]\nname = "a"\nkind = "apprise"\n',
        "AlertmanagerOptions": '[[notifiers]]\nname = "a"\nkind = "alertmanager"\n',
    }[cls.__name__]


WRONG = [
    "73519264",
    "7351.9264",
    '"S3cret://S3cret:S3cret@S3cret/S3cret"',
    '"rtsp://S3cret:S3cret/S3cret@h"',
    '"rtsp://[S3cret/x"',
    '"mqtt://S3cret:S3cret[@h"',
    '["S3cret"]',
    '"S3cret\\u0000"',
    "{ S3cret = 1 }",
    '[["S3cret"]]',
    '[{ S3cret = "S3cret" }]',
    "[73519264]",
    "1979-05-27T07:32:00Z",
    '"""S3cret\nS3cret = 1',
    '"S3cret',
    '"S3cret" "S3cret"',
    "S3cret",
    "'S3cret\nS3cret = 'S3cret'",
    '"S3cret\\q"',
]


@pytest.mark.parametrize("value", WRONG)
@pytest.mark.parametrize(("cls", "field"), FIELDS, ids=[f"{c.__name__}.{f.name}" for c, f in FIELDS])
def test_no_mistake_shows_the_value(cls, field, value):
    text = f"{tables(cls)}{key_of(field)} = {value}\nS3cretkey = 3\n"
    with pytest.raises(ConfigError) as caught:
        parse(text.replace("S3cretkey", "nokey"), KINDS)
    for secret in ("S3cret", "73519264", "7351.9264", "1979"):
        assert secret not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        'urls = "slack://S3cret"',
        '[broker]\nfallback_urls = "mqtt://u:S3cret@h"',
        '[broker]\npasswrod = "S3cret"',
        '[device]\nname = 3\n"https://u:S3cret@h" = 1',
        '[model]\nprovider = "rtsp://S3cret:S3cret@h"',
        '[[cameras]]\nname = "rtsp://S3cret:S3cret@h"\nurl = "x"',
        '[[cameras]]\nname = "a"\nkind = "rtsp://S3cret:S3cret@h"',
        'x = {password = "S3cret}',
    ],
)
def test_no_mistake_beside_it_shows_it(text):
    with pytest.raises(ConfigError) as caught:
        parse(text, KINDS)
    assert "S3cret" not in str(caught.value)


def test_the_config_is_shown_without_any_of_it():
    settings = parse(
        """
        [broker]
        url = "mqtt://S3cret:S3cret@h"
        fallback_urls = ["wss://S3cret:S3cret@h/p?token=S3cret"]
        password = "S3cret"
        [[cameras]]
        name = "a"
        url = "rtsp://10.0.0.9/user=S3cret&password=S3cret"
        password = "S3cret"
        [[cameras]]
        name = "b"
        kind = "gstreamer"
        pipeline = "rtspsrc location=rtsp://S3cret:S3cret@h user-id=S3cret user-pw='S3cret x' ! decodebin"
        [[notifiers]]
        name = "c"
        url = "https://hooks.slack.com/services/T0/B0/S3cret"
        authorization = "Bearer S3cret"
        [[notifiers]]
        name = "d"
        kind = "apprise"
        urls = ["slack://S3cret/S3cret/S3cret"]
        [[notifiers]]
        name = "e"
        kind = "alertmanager"
        url = "http://h/token/S3cret"
        password = "S3cret"
        """,
        KINDS,
    )
    assert "S3cret" not in show(settings) + repr(settings) + str(dataclasses.asdict(settings))
    assert settings.broker.password == Secret("S3cret")
    assert settings.cameras[0].options.url.reveal().endswith("password=S3cret")


def test_an_address_in_another_key_is_shown_without_its_login():
    settings = parse(
        """
        state_directory = "rtsp://S3cret:S3cret@h"
        [alerts]
        runbooks = "https://reader:S3cret@wiki/pages?token=S3cret"
        [[rules]]
        name = "a"
        when = "host.memory_used_ratio > 0.5"
        runbook = "https://wiki/page?key=S3cret"
        [[cameras]]
        name = "a"
        kind = "images"
        path = "rtsp://S3cret:S3cret@h/*.jpg"
        """,
        KINDS,
    )
    assert "S3cret" not in show(settings)
    assert 'runbooks = "https://***@wiki/pages?token=***"' in show(settings)
    assert 'when = "host.memory_used_ratio > 0.5"' in show(settings)


def test_a_file_that_windows_wrote_is_read(tmp_path):
    file = tmp_path / "v.toml"
    file.write_bytes(b'\xef\xbb\xbf[device]\r\nname = "a"\r\n')
    assert load(file, KINDS).device.name == "a"
