"""Text on the pages can be read: WCAG 2's contrast (AA), computed from the colours in the style sheet.

4.5 for text, 3 for what is drawn (curves, icons, marks): https://www.w3.org/TR/WCAG22/#contrast-minimum
"""

import itertools
import re
from pathlib import Path

import pytest

STYLE = (Path(__file__).parents[3] / "agent/dashboard/static/style.css").read_text()
TEXT, DRAWN = 4.5, 3.0
GROUNDS = ("--bg", "--panel", "--raised")


def colours(selector):
    block = re.search(rf"{re.escape(selector)} \{{(.*?)\}}", STYLE, re.S)[1]
    return dict(re.findall(r"(--[\w-]+): (#[0-9a-f]{6});", block))


THEMES = {"dark": colours(":root"), "light": colours(':root[data-theme="light"]')}


def channels(colour):
    return [int(colour[place : place + 2], 16) for place in (1, 3, 5)]


def mixed(colour, ground, share):
    """`color-mix(in srgb, colour share, ground)`: also what a transparent rest lets through."""
    pairs = zip(channels(colour), channels(ground), strict=True)
    return "#" + "".join(f"{round(one * share + other * (1 - share)):02x}" for one, other in pairs)


def luminance(colour):
    parts = [part / 255 for part in channels(colour)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(share * part for share, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one, other):
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_the_measure_itself():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)  # the known limit of grey on white
    assert mixed("#ff0000", "#0000ff", 0.25) == "#4000bf"


@pytest.mark.parametrize("theme", THEMES)
def test_text_stands_out_from_its_ground(theme):
    known = THEMES[theme]
    for text, ground in itertools.product(("--text", "--muted", "--accent"), GROUNDS):
        assert contrast(known[text], known[ground]) >= TEXT, (text, ground)
    for text, ground in itertools.product(("--good", "--warn", "--bad", "--info"), ("--bg", "--panel")):
        assert contrast(known[text], known[ground]) >= TEXT, (text, ground)


@pytest.mark.parametrize("theme", THEMES)
def test_badges_and_pieces_of_the_state_strip_can_be_read(theme):
    known = THEMES[theme]
    shares = re.findall(
        r"\.badge\.(\w+) \{ color: var\((--\w+)\); background: color-mix\(in srgb, var\(\2\) (\d+)%", STYLE
    )
    assert {name for name, _, _ in shares} == {"good", "warn", "bad", "info"}
    for (_, colour, share), ground in itertools.product(shares, ("--bg", "--panel", "--raised")):
        back = mixed(known[colour], known[ground], int(share) / 100)
        assert contrast(known[colour], back) >= TEXT, (colour, ground, contrast(known[colour], back))
    pieces = re.findall(r"color-mix\(in srgb, var\((--\w+)\) (\d+)%, var\(--panel\)\)", STYLE)
    assert len(pieces) >= 5
    for colour, share in pieces:
        back = mixed(known[colour], known["--panel"], int(share) / 100)
        assert contrast(known["--text"], back) >= TEXT, (colour, share, contrast(known["--text"], back))


@pytest.mark.parametrize("theme", THEMES)
def test_the_key_of_the_heat_map_can_be_read_and_its_limit_seen(theme):
    known = THEMES[theme]
    own = dict.fromkeys(("h3", "h4", "h5"), "#14181d")
    if theme == "light":
        own["h5"] = "#ffffff"
    for step in range(6):
        text = own.get(f"h{step}", known["--text"])
        assert contrast(text, known[f"--h{step}"]) >= TEXT, (step, contrast(text, known[f"--h{step}"]))
    lightness = [luminance(known[f"--h{step}"]) for step in range(6)]
    assert contrast(known["--h2"], known["--h5"]) >= 1.3 and len(set(lightness)) == 6


@pytest.mark.parametrize("theme", THEMES)
def test_curves_and_marks_stand_out(theme):
    known = THEMES[theme]
    for number in range(1, 9):
        assert contrast(known[f"--c{number}"], known["--panel"]) >= DRAWN, number
    assert contrast(known["--mark"], known["--panel"]) >= DRAWN


def test_the_light_theme_is_written_twice_alike():
    assert colours(':root:not([data-theme="dark"])') == THEMES["light"]
