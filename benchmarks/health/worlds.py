"""The worlds: what is shown for how long, and which states are right there."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.health import faults, weather
from benchmarks.health.pixels import Change, grain, lit


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """A change of the picture over `minutes`; `expected` are the states that are right, () where none is;
    `allowed` are right, too, but need not be seen.

    `crossed` is the second from which a fault is large enough to be detected.
    """

    name: str
    change: Change
    minutes: float
    expected: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()
    crossed: float = 0.0


def worlds() -> list[World]:
    """All of them; those without an expected state first."""
    return [
        World(name="as it is", change=lambda image, _: image, minutes=4),
        World(name="noise of 8 levels", change=lambda image, t: grain(image, t, 8), minutes=4),
        World(name="night, headlights every 40 s", change=weather.headlights(0.1, 4, 40), minutes=12),
        World(name="deep night, headlights every 40 s", change=weather.headlights(0.04, 4, 40), minutes=12),
        World(name="night, headlights every 150 s", change=weather.headlights(0.07, 3, 150), minutes=12),
        World(name="infrared by turns of 3 min", change=weather.infrared_by_turns, minutes=18),
        World(name="glare of 4 min", change=weather.glare(4), minutes=6, allowed=("overexposed",)),
        World(name="strong glare of 8 min", change=weather.glare(8, 600), minutes=10, allowed=("overexposed",)),
        World(name="tour, three presets of a minute", change=weather.toured(60), minutes=15),
        World(name="tour, three presets of 25 s", change=weather.toured(25), minutes=10),
        World(name="tour, three presets of 12 s", change=weather.toured(12), minutes=10),
        World(name="wind, 1/200", change=weather.swaying(0.005), minutes=5),
        World(name="wind, 1/70", change=weather.swaying(0.014), minutes=5),
        World(name="rain", change=weather.rain, minutes=5),
        World(name="clouds", change=weather.clouds, minutes=6),
        World(name="sun through a tree by turns", change=weather.tree_shadows(True, 4), minutes=16),
        World(name="clouds, then sun through a tree", change=weather.tree_shadows(False, 4), minutes=16),
        World(name="lamps over half of the view go out", change=weather.lamps_out, minutes=16),
        World(name="a lorry stops for 75 s", change=weather.lorry, minutes=9),
        World(name="snow settles within 20 min", change=weather.snow(20), minutes=30, allowed=("obstructed", "fogged")),
        World(name="dusk and dawn", change=weather.dusk(20, 0.1), minutes=20),
        World(name="a day", change=weather.day(60), minutes=60, allowed=("overexposed",)),
        World(name="24 hours", change=weather.night_and_day, minutes=1440, allowed=("overexposed",)),
        World(name="black night", change=weather.dark(0.015, 2), minutes=12, expected=("black",)),
        World(name="no light", change=weather.dark(0.01, 2), minutes=1, expected=("black",)),
        World(name="frozen under a clock", change=faults.Held(), minutes=3, expected=("frozen",)),
        World(name="defocus within 30 min", change=faults.defocus_ramp(30, 1 / 90), minutes=34, expected=("blurred",), crossed=1080),
        World(name="defocus at once", change=lambda image, _: faults.defocused(image, 1 / 150), minutes=2, expected=("blurred",)),
        World(name="fog within 30 min", change=faults.fog_ramp(30, 0.85), minutes=34, expected=("fogged",), crossed=1080),
        World(name="spider's web", change=faults.web, minutes=6, allowed=("obstructed",)),
        World(name="a leaf over 40 %", change=faults.leaf, minutes=6, expected=("obstructed", "covered")),
        World(name="a hand over a third, soft", change=faults.hand, minutes=6, expected=("obstructed", "covered")),
        World(name="moved by a tenth", change=faults.shifted, minutes=2, expected=("moved",)),
        World(name="covered", change=faults.covered, minutes=2, expected=("covered",)),
        World(name="washed out", change=lambda image, _: lit(image, 2.0, 120), minutes=2, expected=("overexposed",)),
    ]  # fmt: skip
