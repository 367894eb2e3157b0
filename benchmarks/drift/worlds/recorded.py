"""Real pictures under a light of our own: the image and motion features of a real clip, from dawn to dusk, under clouds.

    python -m benchmarks.drift.worlds.recorded --seeds 21,22,23 --out recorded.jsonl     # two minutes of a core each

Each frame of a clip is measured at nine strengths of light (darker, warmer and noisier the less there is); a minute shows
the clip from a random frame on, at the light that the sun, a day's weather and passing clouds leave, by linear
interpolation. At night a lamp burns. Twelve of the 24 features are those, the others plain noise.
"""

from __future__ import annotations

import argparse
import json
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from agent.core.types import Detections
from agent.features.extract import extract
from benchmarks.drift.replay import Replay
from benchmarks.drift.simulate import Course
from benchmarks.drift.streams import DAY
from benchmarks.drift.video_features import VIDEOS, frames_of
from benchmarks.drift.worlds.run import Judged, false_alarms, references
from benchmarks.drift.worlds.world import World, hour, wandering

MEASURED = 12
LIGHTS = np.geomspace(0.12, 1.1, 9)
NOON_HOUR, LIT_HOURS, TWILIGHT_HOURS = 12.0, 12.0, 0.5
CLOUD_MINUTES, CLOUD, LAMP = 40.0, 0.25, 0.2
WIDTH = 480
NOTHING = Detections(
    boxes=np.empty((0, 4), np.float32),
    scores=np.empty(0, np.float32),
    class_ids=np.empty(0, np.int64),
    threshold=0.25,
    candidates=0,
)


@cache
def measured(video: str) -> NDArray[np.float64]:
    """Features of each frame of a clip at each of LIGHTS, (9, n, 12)."""
    frames = [cv2.resize(each, (WIDTH, WIDTH * each.shape[0] // each.shape[1])) for each in frames_of(video)]
    found = []
    for number, light in enumerate(LIGHTS):
        random, previous, rows = np.random.default_rng(number), None, []
        tone = np.array(
            [1.0 - 0.25 * (1.0 - light), 1.0, 1.0 + 0.15 * (1.0 - light)]
        )  # BGR: warmer the less there is
        for image in [frames[-1], *frames]:
            noise = random.normal(0.0, 1.0 + 4.0 * (1.0 - min(light, 1.0)), image.shape)
            shown = np.clip(image * light**0.6 * tone + noise, 0, 255).astype(np.uint8)
            vector, previous = extract(shown, NOTHING, previous)
            rows.append(vector[:MEASURED])
        found.append(rows[1:])
    return np.nan_to_num(np.array(found, dtype=np.float64))


class Recorded(World):
    """A real clip from dawn to dusk."""

    def draw(self) -> None:
        """Which clip, and the sky at first."""
        self.video = list(VIDEOS)[int(self.random.integers(len(VIDEOS)))]
        self.clouds = self.random.standard_normal(1)

    def form(self, latent: NDArray[np.float32], minutes: NDArray[np.float64]) -> NDArray[np.float32]:
        """See the class."""
        out, table = super().form(latent, minutes), measured(self.video)
        light = np.interp(np.log(self._light(minutes)), np.log(LIGHTS), np.arange(LIGHTS.size))
        for place, at in enumerate(light):
            low = min(int(at), LIGHTS.size - 2)
            first = int(self.random.integers(table.shape[1]))
            frames = (first + np.arange(latent.shape[1])) % table.shape[1]
            share = at - low
            out[place, :, :MEASURED] = (1 - share) * table[low, frames] + share * table[low + 1, frames]
        return out

    def _light(self, minutes: NDArray[np.float64]) -> NDArray[np.float64]:
        path = wandering(self.random, self.clouds, minutes.size, CLOUD_MINUTES)
        self.clouds = path[-1]
        dull = 0.25 * np.array([np.random.default_rng([7, int(each)]).random() for each in minutes // DAY])
        edge = LIT_HOURS / 2 - np.abs(hour(minutes) - NOON_HOUR)
        sun = 1.0 / (1.0 + np.exp(-edge / (TWILIGHT_HOURS / 2)))
        sky = np.exp(-CLOUD * np.abs(path[:, 0]) - dull)
        return np.clip(np.maximum(sun * sky, LAMP), LIGHTS[0], LIGHTS[-1])


def main() -> None:
    """Judge thirty days of each seed by references of one, three and seven days."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", default="21,22,23")
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--out", type=Path, help="file that lines of JSON are appended to")
    options = parser.parse_args()
    for seed in map(int, options.seeds.split(",")):
        world = Recorded(seed)
        made = references(world, (1, 3, 7)).items()
        judged = {f"{days} d": Judged(Replay(each), False, Course(Replay(each))) for days, each in made}
        for name, (alarms, hours) in false_alarms(judged, world, options.days).items():
            line = {
                "world": f"recorded {world.video}",
                "seed": seed,
                "reference": name,
                "alarms": alarms,
                "hours": hours,
            }
            print(json.dumps(line), flush=True)
            if options.out:
                with options.out.open("a") as file:
                    file.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
