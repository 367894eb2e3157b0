"""Whether frames are still to come from a source whose packets come: a decoder needs a key frame first.

Laws
----
1. While no key frame has come, it is waited for as long as packets come, up to LONGEST_WAIT_SECONDS: cameras with smart
   codecs send one a minute.
2. A source that sent KEY_FRAMES key frames in BARREN_SECONDS or more, and not one whole frame, cannot be decoded. (A
   server was seen that put every key frame into two packets, so that each half was marked as damaged.)
3. A whole frame starts the count anew.
4. A source of which the decoder refuses most packets of BARREN_SECONDS cannot be decoded, even if a frame comes
   of it now and then: it changed its codec (nonsense of two frames a minute was seen then).
"""

from __future__ import annotations

BARREN_SECONDS = 8.0
KEY_FRAMES = 3
LONGEST_WAIT_SECONDS = 600.0
NOTED_SECONDS = 1.0
REFUSED_SHARE, REFUSED_PACKETS = 0.6, 20
"""Of the packets of BARREN_SECONDS, of which there have to be so many."""


class FrameWait:
    """Counts packets up to the next whole frame; is given the time in monotonic seconds."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._key_frames = 0
        self._counted_since: float | None = None
        self._packets = self._refused = 0
        self._mostly_refused = False

    def frame(self) -> None:
        """A whole frame came."""
        self._since, self._key_frames = None, 0

    @property
    def saw_key_frame(self) -> bool:
        """Whether a key frame has come since the last whole frame."""
        return self._key_frames > 0

    def packet(self, now: float, *, key_frame: bool) -> None:
        """A packet came, and no whole frame of it."""
        # From the first packet on: a source that sends nothing is another failure.
        self._since = now if self._since is None else self._since
        self._key_frames += key_frame
        if self._counted_since is None or now - self._counted_since > BARREN_SECONDS:
            self._mostly_refused = self._refused > REFUSED_SHARE * max(self._packets, REFUSED_PACKETS)
            self._counted_since, self._packets, self._refused = now, 0, 0
        self._packets += 1

    def refused(self) -> None:
        """The decoder refused the last packet."""
        self._refused += 1

    def note(self, now: float) -> str:
        """What is waited for, in words; empty while that is nothing unusual."""
        waited = now - (now if self._since is None else self._since)
        if waited < NOTED_SECONDS:
            return ""
        return f"waiting for a {'whole' if self._key_frames else 'key'} frame, {waited:.0f} s"

    def failure(self, now: float) -> str:
        """Why no frame can be hoped for, in words that go on after the source's name; empty while one can."""
        waited = now - (now if self._since is None else self._since)
        if self._mostly_refused:
            return "goes on with what its decoder refuses; its codec may have changed"
        if self._key_frames >= KEY_FRAMES and waited > BARREN_SECONDS:
            return "gives no readable video; it is damaged, incomplete, or no video"
        if waited > LONGEST_WAIT_SECONDS:
            return (
                f"gave no whole frame for {LONGEST_WAIT_SECONDS / 60:.0f} min; set a shorter interval of key frames "
                "(GOP) in the camera"
            )
        return ""
