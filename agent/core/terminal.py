"""What a command prints: streams that pass on no control character of somebody else's, consoles that parse no markup.

Two things hold whoever prints, and whatever the text is made of:

1. While `safe_streams()` lasts (for the whole of every command), what is written to stdout or stderr is escaped on
   its way: no title is set, no clipboard written, no link made, no cursor moved.
2. Rich draws through `console()` alone. It takes `[...]` in strings for text, never for markup, and escapes the same
   characters in all that it draws; the colours and cursor moves of rich itself pass.
"""

from __future__ import annotations

import io
import os
import select
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TextIO, TypeVar, cast

from agent.core.printable import printable_lines, printable_output

if TYPE_CHECKING:
    from rich.console import Console

PIPE_WIDTH = 1000
"""Columns of a table where no terminal sets a limit: a program or a file reads it, and no line is broken."""

Item = TypeVar("Item")


class SafeStream:
    """A text stream that escapes what is written to it; all else is the stream's beneath (`raw`)."""

    def __init__(self, raw: TextIO) -> None:
        self.raw = raw
        with suppress(AttributeError, ValueError):  # a terminal of another alphabet is no reason to fail
            raw.reconfigure(errors="backslashreplace")  # type: ignore[attr-defined]  # a text stream of the terminal has it

    def write(self, text: str) -> int:
        """Write `text`, escaped."""
        self.raw.write(printable_output(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write every one of `lines`, escaped."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.raw, name)


class UnbufferedStream:
    """Text straight to the file beneath `stream`; all else is as `stream` has it.

    Python's own streams hold a lock and keep text while a write is blocked: who writes to them next, or the
    interpreter at its end, would be blocked too. A line that was torn by an error is ended before the next text.
    """

    def __init__(self, stream: TextIO) -> None:
        stream.flush()
        self._stream, self._file = stream, stream.fileno()
        self._torn = False

    @classmethod
    def of(cls, stream: TextIO) -> TextIO:
        """`stream` itself where it is none of Python's own, or has no file beneath."""
        with suppress(OSError, ValueError):
            if isinstance(stream, io.TextIOWrapper):
                return cast(TextIO, cls(stream))
        return stream

    def write(self, text: str) -> int:
        """Write all of `text`, however long that is blocked; raises OSError."""
        data = memoryview(("\n" * self._torn + text).encode(self._stream.encoding, "backslashreplace"))
        while data:
            try:
                written = os.write(self._file, data)
            except BlockingIOError:  # who shares the file set it so
                select.select((), (self._file,), ())
                continue
            data = data[written:]
            self._torn = bool(data)
        return len(text)

    def flush(self) -> None:
        """Everything is written at once."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def raw_stream(stream: TextIO) -> TextIO:
    """The stream beneath, for who escapes by itself and has colours to send."""
    return stream.raw if isinstance(stream, SafeStream) else stream


def open_standard_streams() -> None:
    """Have /dev/null stand for each standard stream that is closed at the start (`>&-`).

    Python has None then for what it prints to, and the next file opened, such as the outbox, would get its number.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest free number: this one
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8", closefd=False))


@contextmanager
def safe_streams() -> Iterator[None]:
    """Make stdout and stderr safe for as long as the block lasts; within another such block nothing changes."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (
        stream if isinstance(stream, SafeStream) else cast(TextIO, SafeStream(stream)) for stream in before
    )
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


def output_has_no_reader() -> bool:
    """Whether stdout or stderr is a pipe or socket whose other end is closed."""
    poll = select.poll()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            poll.register(stream.fileno(), 0)  # errors and hang-ups are always reported
    return bool(poll.poll(0))


def discard_refused_output() -> None:
    """What is printed and cannot be written (full disk, closed pipe) goes nowhere.

    The interpreter would try once more at its end, and print a traceback.
    """
    for stream in (sys.stdout, sys.stderr):
        if not _flushed(stream):
            discard_output(stream)


def discard_output(stream: TextIO) -> None:
    """What anybody in this process, C libraries included, writes to the file of `stream` from now on goes nowhere."""
    with suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC), stream.fileno())


def _flushed(stream: TextIO) -> bool:
    try:
        stream.flush()
    except (OSError, ValueError):
        return False
    return True


def console(*, stderr: bool = False, width: int | None = None, **more: Any) -> Console:
    """A rich console for data of any origin; without a terminal it is wide enough to break no line of a table."""
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.segment import Segment
    from rich.text import Text

    class SafeConsole(Console):
        """Draws no control character but rich's own."""

        def render_str(self, text: str, **more: Any) -> Text:
            return super().render_str(printable_lines(text), **more)

        def render(
            self, renderable: RenderableType, options: ConsoleOptions | None = None
        ) -> Iterable[Segment]:
            for segment in super().render(renderable, options):
                text = segment.text if segment.control else printable_output(segment.text)
                yield segment if text == segment.text else Segment(text, segment.style)

        def on_broken_pipe(self) -> None:
            """Leave it to the command: rich would end the process as failed."""
            raise  # noqa: PLE0704  (rich calls this while it handles the BrokenPipeError)

    more = {"file": raw_stream(sys.stderr if stderr else sys.stdout), **more}
    made = SafeConsole(markup=False, emoji=False, highlight=False, width=width, **more)
    if width is None and not made.is_terminal:
        made.width = PIPE_WIDTH
    return made


def bar(items: Iterable[Item], total: int, name: str) -> Iterable[Item]:
    """`items`, with a bar on stderr that says how many of `total` are done."""
    from rich.progress import track

    return track(items, total=total, description=name, console=console(stderr=True))
