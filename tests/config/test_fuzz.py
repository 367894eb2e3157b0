"""Whatever stands in a config file, the reader gets settings or a ConfigError: in time, in bounded memory, unharmed."""

import dataclasses
import gc
import random
import resource
import time
from pathlib import Path

import pytest

from agent.app.kinds import KINDS
from agent.app.validate import validate
from agent.config.alert_settings import NotifierSettings, RuleSettings
from agent.config.fields import key_of
from agent.config.load import load, parse
from agent.config.schema import CameraSettings, Settings
from agent.core.errors import ConfigError, VedetteError
from agent.core.printable import printable_lines
from agent.delivery.identity import identify
from agent.delivery.mqtt.address import broker_addresses

ROOT = Path(__file__).resolve().parents[2]
LONGEST_SECONDS = 20.0  # of processor time; most take a millisecond, a busy box doubles it
MOST_GROWTH_KIB = 64 * 1024

VALUES = [
    "0", "-1", "1", "true", "3.5", "1e308", "1e999", "-1e999", "inf", "nan", "1" + "0" * 400, "-" + "9" * 30, "9" * 5000,
    "0x" + "f" * 6000, '""', '"x"', '"5m"', '"2000000h"', '"' + "9" * 400 + 'h"', '"99999999999999GiB"', '"-5s"',
    '"~nosuchuser/x"', '"~"', '"rtsp://[bad/x"', '"mqtt://[bad"', '"mqtt://h:99999"', '"http://h:x/"', '"://"', '"a://"',
    '"rtsp://u:p/w@h/x"', '"\\u0000"', '"/etc/\\u0000"', '"\\u001b]52;c;cm0=\\u0007"', '"[/x]"', '"' + "a" * 5000 + '"',
    '"' + "a/" * 3000 + '"', '"127.0.0.1:9477"', '"[::1]:0"', '"١:٢"', '"22:00-06:00"', '"a > 1"', '"absent("', "[]", "[[]]",
    "[1, 'a', []]", '["x"]', "[" * 20 + "]" * 20, "[" * 2000 + "]" * 2000, "{}", "{a = 1}", "{a.b.c = {}}",
    "1979-05-27T07:32:00Z", "07:32:00", "1979-05-27", "'''\n[x]\n'''", '"""\n[[cameras]]\n"""', '"\\ud800"', "+", '"\U0010ffff"',
]  # fmt: skip
TABLES = [field.name for field in dataclasses.fields(Settings)]


def entries(cls):
    return [key_of(field) for field in dataclasses.fields(cls) if field.name != "options"]


def keys(table):
    """The keys of `table` in the file."""
    if table in KINDS:
        shared = {"cameras": CameraSettings, "notifiers": NotifierSettings}[table]
        own = [key for kind in KINDS[table] for key in entries(KINDS[table].load(kind).Options)]
        return entries(shared) + own
    if table == "rules":
        return entries(RuleSettings)
    field = next(field for field in dataclasses.fields(Settings) if field.name == table)
    return entries(type(field.default)) if dataclasses.is_dataclass(field.default) else []


KEYS = {table: keys(table) for table in TABLES}


def judged(text, tmp_path):
    """Settings, or None where they were refused; whatever else is raised fails the test."""
    began = time.process_time()
    try:
        settings = parse(text, KINDS, base=tmp_path)
        validate(settings)
        identify(settings.device, settings.broker)
        broker_addresses(settings.broker)
        for camera in settings.cameras:
            KINDS["cameras"].load(camera.kind)(camera.name, camera.options)
    except ConfigError as error:
        assert str(error)
        assert printable_lines(error, 10**6) == str(error)
        settings = None
    except VedetteError:  # an extra that is not installed
        settings = None
    assert time.process_time() - began < LONGEST_SECONDS, text[:2000]
    return settings


def mutated(text, random_):
    """`text` with a few pieces cut, doubled, swapped or replaced."""
    for _ in range(random_.randint(1, 6)):
        at = random_.randrange(len(text) + 1)
        end = min(len(text), at + random_.choice([0, 1, 2, 8, 60, 400]))
        piece = random_.choice(
            [
                "",
                text[at:end] * 2,
                random_.choice(VALUES),
                random_.choice("[]{}\"'=.,#\n\\\0\ufeff\u2028"),
                "[[cameras]]\n",
            ]
        )
        text = text[:at] + piece + text[end:]
    return text


def written(random_):
    """A config of random keys and values."""
    lines = []
    for _ in range(random_.randint(1, 6)):
        table = random_.choice(TABLES)
        header = random_.choice([f"[{table}]", f"[[{table}]]", f"[{table}.{random_.choice(TABLES)}]"])
        lines.append(header if random_.random() < 0.9 else random_.choice(VALUES))
        if table in KINDS:
            lines += ['name = "a"', f'kind = "{random_.choice(list(KINDS[table]))}"'] * (
                random_.random() < 0.8
            )
        for _ in range(random_.randint(0, 5)):
            key = random_.choice(KEYS[table] or ["x"]) if random_.random() < 0.9 else random_.choice(TABLES)
            lines.append(f"{key} = {random_.choice(VALUES)}")
    return "\n".join(lines)


def uncommented(random_):
    """The example with random lines of it in force."""
    lines = (ROOT / "config.example.toml").read_text().splitlines()
    return "\n".join(
        line[2:] if line.startswith("# ") and random_.random() < 0.5 else line.replace("#[[", "[[", 1)
        for line in lines
    )


def trial(seed, tmp_path):
    random_ = random.Random(seed)
    choice = seed % 4
    if choice == 0:
        return judged(written(random_), tmp_path)
    if choice == 1:
        return judged(mutated(written(random_), random_), tmp_path)
    if choice == 2:
        return judged(mutated(uncommented(random_), random_), tmp_path)
    return judged(
        "".join(chr(random_.choice([random_.randrange(128), random_.randrange(0x3000)])) for _ in range(200)),
        tmp_path,
    )


def test_any_config_gives_settings_or_a_mistake(tmp_path):
    assert sum(trial(seed, tmp_path) is not None for seed in range(400)) < 400


def heads():
    """What stands before a value, for every key of every table and kind."""
    for table, names in KEYS.items():
        head = f"[[{table}]]\n" if table in (*KINDS, "rules") else f"[{table}]\n"
        for kind in KINDS.get(table, [""]):
            more = f'name = "a"\nkind = "{kind}"\n' if kind else ""
            yield from (f"{head}{more}{key} = " for key in names)
            yield f"{table} = "


def test_values_at_keys(tmp_path):
    random_ = random.Random(7)
    for head in heads():
        judged(head + random_.choice(VALUES), tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_value_at_every_key(tmp_path):
    for head in heads():
        for value in VALUES:
            judged(head + value, tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_hundred_thousand_configs(tmp_path):
    for seed in range(2000):
        trial(seed, tmp_path)
    gc.collect()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for seed in range(2000, 100_000):
        trial(seed, tmp_path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MOST_GROWTH_KIB


# -- texts made to keep a reader busy -----------------------------------------------------------------------


LARGE = {
    "a dotted key of 300,000 parts": "a." * 300_000 + "a = 1",
    "nested arrays": "a = " + "[" * 300_000 + "]" * 300_000,
    "nested tables": "a = " + "{a = " * 100_000,
    "40,000 cameras of one name": '[[cameras]]\nname="a"\n' * 40_000,
    "2,000 good cameras": "".join(f'[[cameras]]\nname="a{n}"\nkind="synthetic"\n' for n in range(2_000)),
    "50,000 unknown keys": "".join(f"key{n} = 1\n" for n in range(50_000)),
    "a long unknown key": "a" * 1_000_000 + " = 1",
    "spaces in a header": '[model]\npath = """\n[' + " " * 900_000 + '\n"""',
    "many headers with spaces": 'x = """\n' + ("[" + " " * 400 + "\n") * 2_000 + '"""',
    "a list of 200,000 wrong entries": "[broker]\nfallback_urls = [" + "1," * 200_000 + "]",
    "a list of 20,000 addresses": "[broker]\nfallback_urls = [" + '"mqtt://u:p@h",' * 20_000 + "]",
    "a long duration": '[windows]\nlength = "' + "1h" * 400_000 + '"',
    "a long choice": '[model]\nprovider = "' + "cuda" * 200_000 + '"',
    "a long path": '[model]\npath = "' + "a/" * 400_000 + '"',
    "a long address": '[[cameras]]\nname="a"\nurl = "rtsp://h/' + "user=a" * 100_000 + '"',
    "more than a MiB": "#" * (1024 * 1024 + 1),
    "quotes": '"' * 1_000_000,
    "a long rule": '[[rules]]\nname="a"\nwhen = "' + "(" * 400_000 + '"',
    "quiet hours": '[[notifiers]]\nname="a"\nurl="http://h"\nquiet_hours = "' + "mon-" * 200_000 + '"',
}


GOOD = {"2,000 good cameras", "a list of 20,000 addresses", "a long address"}


@pytest.mark.parametrize("name", LARGE)
def test_no_file_keeps_the_reader_busy(tmp_path, name):
    settings = judged(LARGE[name], tmp_path)
    assert (settings is not None) == (name in GOOD)


def test_a_file_is_not_read_beyond_its_limit(tmp_path):
    (tmp_path / "large.toml").write_bytes(b"#" * (1 << 20) + b"\n")
    with pytest.raises(ConfigError, match="it has more than 1024 KiB"):
        load(tmp_path / "large.toml", KINDS)
    with pytest.raises(ConfigError, match="is not a file, but a device"):
        load("/dev/zero", KINDS)


def test_not_every_mistake_of_a_hopeless_file_is_reported(tmp_path):
    with pytest.raises(ConfigError) as caught:
        parse("".join(f"key{n} = 1\n" for n in range(1000)), KINDS, base=tmp_path)
    assert len(str(caught.value).splitlines()) == 50
