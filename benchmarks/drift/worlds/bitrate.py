"""A recorder that encodes at night with another bitrate, from an hour of the night that a technician's script drifts by."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.drift.streams import DAY
from benchmarks.drift.worlds.world import World, hour

SHARP, FINE = 4, 4
FROM, UNTIL, LATER_MINUTES = 22.0, 5.5, 25.0


class Bitrate(World):
    """From 22 h to half past five four features fall by three sigma and four scatter half as much; at no exact time."""

    def form(self, latent: NDArray[np.float32], minutes: NDArray[np.float64]) -> NDArray[np.float32]:
        """See the class."""
        day = np.floor(minutes / DAY + 0.5)
        late = LATER_MINUTES / 60.0 * np.sin(12.9898 * day) * np.cos(4.1414 * day)
        night = (hour(minutes) >= FROM + late) | (hour(minutes) < UNTIL + late)
        changed = latent.copy()
        changed[night, :, :SHARP] = 0.6 * latent[night, :, :SHARP] - 3.0
        changed[night, :, SHARP : SHARP + FINE] *= 0.5
        return super().form(changed, minutes)
