"""What no broker could take is refused by the config, with its key."""

import pytest

from agent.app.kinds import KINDS
from agent.config.load import parse
from agent.core.errors import ConfigError


@pytest.mark.parametrize("key", ["topic_prefix", "home_assistant_prefix"])
@pytest.mark.parametrize(
    "value",
    [
        "a/+/b",
        "ha/#",
        "a+",
        "",
        "/",
        "a//b",
        "$SYS/a",
        "/$share/x",
        "a\\u0000b",
        "a\\nb",
        "x" * 201,
        "\\u00e9" * 101,
    ],
)
def test_prefixes_that_are_no_topic(key, value):
    with pytest.raises(ConfigError, match=key):
        parse(f'[broker]\n{key} = "{value}"\n', KINDS)


@pytest.mark.parametrize("key", ["message_expiry", "session_expiry"])
def test_durations_beyond_the_32_bits_of_mqtt(key):
    with pytest.raises(ConfigError, match=key):
        parse(f'[broker]\n{key} = "2000000h"\n', KINDS)
    parse(f'[broker]\n{key} = "1000h"\n', KINDS)


@pytest.mark.parametrize("value", ["vedette", "/factory/line 2/", "a/b/c", "wärme"])
def test_prefixes_that_are_topics(value):
    assert parse(f'[broker]\ntopic_prefix = "{value}"\n', KINDS).broker.topic_prefix == value
