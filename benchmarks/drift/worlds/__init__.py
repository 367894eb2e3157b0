"""Simulated worlds in which nothing that matters changes: one file each, run by `benchmarks.drift.worlds.run`."""

from __future__ import annotations

from agent.core.registry import Registry

WORLDS = Registry(
    "world",
    {
        "steady": "benchmarks.drift.worlds.world:World",
        "skewed": "benchmarks.drift.worlds.skewed:Skewed",
        "one count": "benchmarks.drift.worlds.one_count:OneCount",
        "weekends": "benchmarks.drift.worlds.weekends:Weekends",
        "sunrise": "benchmarks.drift.worlds.sunrise:Sunrise",
        "weather 2 h": "benchmarks.drift.worlds.weather:Weather2h",
        "weather 12 h": "benchmarks.drift.worlds.weather:Weather12h",
        "infrared": "benchmarks.drift.worlds.infrared:Infrared",
        "lorries": "benchmarks.drift.worlds.events:Lorries",
        "rain": "benchmarks.drift.worlds.events:Rain",
        "exposure hunting": "benchmarks.drift.worlds.exposure:ExposureHunting",
        "heavy tails": "benchmarks.drift.worlds.heavy_tails:HeavyTails",
        "holidays": "benchmarks.drift.worlds.holidays:Holidays",
        "leaves": "benchmarks.drift.worlds.leaves:Leaves",
        "missing hours": "benchmarks.drift.worlds.missing_hours:MissingHours",
        "changing sampling": "benchmarks.drift.worlds.sampling:ChangingSampling",
        "tide": "benchmarks.drift.worlds.tide:Tide",
        "market": "benchmarks.drift.worlds.market:Market",
        "broken clouds": "benchmarks.drift.worlds.clouds:BrokenClouds",
        "signals": "benchmarks.drift.worlds.signals:Signals",
        "wandering gain": "benchmarks.drift.worlds.gain:WanderingGain",
        "clock change": "benchmarks.drift.worlds.clock_change:ClockChange",
        "office": "benchmarks.drift.worlds.office:Office",
        "regimes": "benchmarks.drift.worlds.regimes:Regimes",
        "night bitrate": "benchmarks.drift.worlds.bitrate:Bitrate",
        "queues": "benchmarks.drift.worlds.queues:Queues",
        "hot sensor": "benchmarks.drift.worlds.hot_sensor:HotSensor",
        "lamps": "benchmarks.drift.worlds.lamps:Lamps",
        "shifts": "benchmarks.drift.worlds.shifts:Shifts",
        "gate": "benchmarks.drift.worlds.gate:Gate",
        "school": "benchmarks.drift.worlds.school:School",
        "shop": "benchmarks.drift.worlds.shop:Shop",
        "mill": "benchmarks.drift.worlds.mill:Mill",
        "night shift": "benchmarks.drift.worlds.night_shift:NightShift",
        "ferry": "benchmarks.drift.worlds.ferry:Ferry",
        "church": "benchmarks.drift.worlds.church:Church",
        "car park": "benchmarks.drift.worlds.car_park:CarPark",
        "mast": "benchmarks.drift.worlds.mast:Mast",
        "packing": "benchmarks.drift.worlds.packing:Packing",
        "fronts": "benchmarks.drift.worlds.fronts:Fronts",
        "reboot": "benchmarks.drift.worlds.reboot:Reboot",
        "street": "benchmarks.drift.worlds.street:Street",
    },
)
"""A world's class by its name; a world file holds what moves in it, in sigma of its features' fast noise.

The last twenty were written after the engine's constants; `docs/benchmarks-drift.md` says which led to a change."""
