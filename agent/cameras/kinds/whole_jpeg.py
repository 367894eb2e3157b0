"""Whether the JPEGs of a source are whole: FFmpeg fills what is missing of one with grey and says nothing.

Laws
----
1. A JPEG without its end mark is cut off, so it is damaged.
2. A source that wrote none at its first NONE_WRITTEN JPEGs never writes one: some USB cameras do not. Then each counts
   as whole.
"""

from __future__ import annotations

from agent.core.image_file import jpeg_ends

NONE_WRITTEN = 3
_END = b"\xff\xd9"


class WholeJpegs:
    """Judges the JPEGs of one source in their order."""

    def __init__(self) -> None:
        self._unended = 0
        self._writes_ends = False

    def is_whole(self, data: memoryview) -> bool:
        """Whether a frame's `data` is there to its end."""
        if data[-len(_END) :] == _END or jpeg_ends(data):
            self._writes_ends = True
            return True
        self._unended += 1
        return not self._writes_ends and self._unended > NONE_WRITTEN
