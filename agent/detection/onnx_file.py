"""What an ONNX file declares, read from its bytes before any runtime opens it: a file from outside is data.

ONNX Runtime takes what a graph declares for granted: it reads files that a weight names, and allocates an output of
four hundred million columns. So the file is walked here first, by the few fields of its format (onnx.proto) that
say what it will take. What a graph makes inside of itself without declaring it is not known from that.
"""

from __future__ import annotations

import math
import mmap
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from agent.core.errors import ModelError
from agent.core.printable import printable
from agent.detection.metadata import LARGEST_SIDE

LARGEST_FILE = 2**31 - 1
"""Bytes: no program reads a larger message of this format."""

LARGEST_TENSOR = 2**30
"""Bytes of an input or output at most; a YOLO on 4096 x 4096 pixels gives 0.1 GiB. See `largest_tensor`."""

MOST_FIELDS = 1_000_000
"""Fields walked through: YOLO11x has 40,000."""

_DEEPEST = 64  # protobuf's readers stop at a hundred
_MOST_SIDES = 16  # of a tensor; the product of a hundred thousand would be computed for minutes
_BYTES = {
    1: 4,
    2: 1,
    3: 1,
    4: 2,
    5: 2,
    6: 4,
    7: 8,
    9: 1,
    10: 2,
    11: 8,
    12: 4,
    13: 8,
    16: 2,
}  # TensorProto.DataType
_CORRUPT = "is not an ONNX file, truncated or corrupt: copy it again"
_MAGIC_BYTES = 64
_OTHERS = (
    (
        b"version https://git-lfs",
        "a pointer of Git LFS, not the file itself: run `git lfs pull` where it came from",
    ),
    (
        b"<!doctype html",
        "a web page: the address that it was downloaded from asks for a login, or shows the file only",
    ),
    (
        b"<html",
        "a web page: the address that it was downloaded from asks for a login, or shows the file only",
    ),
    (b"<?xml", "an XML file, as OpenVINO writes: give the ONNX file that it was made of"),
    (b"{", "a JSON file: copy the model itself"),
    (
        b"pk\x03\x04",
        "a zip archive, as PyTorch's checkpoints are: make an ONNX file with `vedette model prepare`",
    ),
    (
        b"\x80\x02",
        "a pickle, as PyTorch's old checkpoints are: make an ONNX file with `vedette model prepare`",
    ),
    (b"\x1f\x8b", "compressed by gzip: unpack it"),
    (b"\x89hdf", "an HDF5 file, as Keras writes: export the model as ONNX"),
    (b"ftrt", "a TensorRT engine, which is of one GPU and version: give the ONNX file that it was made of"),
)
"""How other files begin (small letters), and what they are."""

_DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml", "com.microsoft", "com.microsoft.nchwc"})
# Of each message the fields (by number) that lead on, and what they hold.
_INSIDE: dict[str, dict[int, str]] = {
    "model": {7: "graph", 25: "function"},
    "graph": {1: "node", 5: "tensor", 11: "input", 12: "output", 13: "inner", 15: "sparse"},
    "function": {7: "node"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}
_NAMES = {"node": (4, 7), "function": (1, 10)}
"""Which fields hold an operator's name and domain."""

_Span = tuple[int, int]


def check(path: Path) -> tuple[Path, ...]:
    """The files beside it that hold weights of the model, sorted.

    Raises ModelError where the file is none, is cut off, or declares what no detector on this box may take.
    """
    size = plain_file(path)
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            if other := _other_file(data[:_MAGIC_BYTES]):
                raise ModelError(f"model {path} is {other}")
            walk = _Walk(path, data, size)
            walk.run()
            return tuple(sorted(walk.beside))
    except OSError as error:
        raise ModelError(f"model {path} cannot be read: {error.strerror or error}") from error
    except (ValueError, UnicodeDecodeError) as error:  # it changed while it was read; no text
        raise ModelError(f"model {path} {_CORRUPT}") from error


def _other_file(begins: bytes) -> str:
    """What a file that `begins` so is instead of ONNX, and what to do; "" where nothing shows it."""
    if begins[4:8] == b"TFL3":
        return "a TFLite file: export the model as ONNX"
    text = begins.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    return next(
        (words for mark, words in _OTHERS if begins.lower().startswith(mark) or text.startswith(mark)), ""
    )


def metadata(path: Path) -> dict[str, str]:
    """The metadata entries of a file that passed `check`. Raises ModelError where it cannot be read any more."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _Walk(path, data, len(data)).metadata()
    except OSError as error:
        raise ModelError(f"model {path} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise ModelError(f"model {path} {_CORRUPT}") from error


def foreign_operators(path: Path) -> tuple[str, ...]:
    """`DOMAIN.OPERATOR` of all that a file that passed `check` uses and no runtime here brings, sorted.

    Known are ONNX's own domains, those of ONNX Runtime, and functions that the file itself holds: whether their
    operators and opset are, the runtime says when it opens the model. Raises ModelError where the file cannot be read.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            walk = _Walk(path, data, len(data))
            walk.run()
    except OSError as error:
        raise ModelError(f"model {path} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise ModelError(f"model {path} {_CORRUPT}") from error
    foreign = {one for one in walk.operators - walk.own if one[0] not in _DOMAINS}
    return tuple(sorted(f"{printable(domain, 40)}.{printable(name, 40)}" for domain, name in foreign))


def largest_tensor() -> int:
    """Bytes that one input or output may take here: a quarter of this box's memory, at most LARGEST_TENSOR."""
    try:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):
        return LARGEST_TENSOR
    return min(LARGEST_TENSOR, memory // 4)


def plain_file(path: Path) -> int:
    """The size of a model's file; ModelError for a directory, pipe or device, which are neither opened nor read."""
    try:
        found = path.stat()
    except FileNotFoundError:
        raise ModelError(f"model {path} does not exist; give the path of a model's file") from None
    except (OSError, ValueError) as error:
        raise ModelError(f"model {printable(path)} cannot be read: {error}") from None
    if stat.S_ISDIR(found.st_mode):
        raise ModelError(f"model {path} is a directory; give the path of a model's file")
    if not stat.S_ISREG(found.st_mode):
        raise ModelError(f"model {path} is not a plain file; give the path of a model's file")
    if not found.st_size:
        raise ModelError(f"model {path} is empty, so it {_CORRUPT}")
    if found.st_size > LARGEST_FILE:
        raise ModelError(f"model {path} has {found.st_size} bytes; at most {LARGEST_FILE} are accepted")
    return found.st_size


class _Walk:
    def __init__(self, path: Path, data: mmap.mmap, size: int) -> None:
        self._path, self._data, self._size = path, data, size
        self._fields = 0
        self.beside: set[Path] = set()
        self.operators: set[tuple[str, str]] = set()
        self.own: set[tuple[str, str]] = set()
        """Operators that nodes use, and that the file defines itself: domain and name."""

    def run(self) -> None:
        """Walk through all messages that `_INSIDE` leads to; those with a limit are looked at."""
        looked = {
            "tensor": self._weights,
            "input": self._declared,
            "output": self._declared,
            "inner": self._declared,
        }
        waiting: list[tuple[str, _Span, int]] = [("model", (0, self._size), 0)]
        found = set[str]()
        while waiting:
            kind, span, depth = waiting.pop()
            found.add(kind)
            if depth > _DEEPEST:
                raise self._refused(f"nests graphs more than {_DEEPEST} levels deep")
            if kind in looked:
                looked[kind](kind, span)
                continue
            leading, named = _INSIDE[kind], dict[int, str]()
            for number, value in self._fields_of(span):
                if number in leading and isinstance(value, tuple):
                    waiting.append((leading[number], value, depth + 1))
                elif number in _NAMES.get(kind, ()):
                    named[number] = self._text(value)
            if kind in _NAMES:
                name, domain = (named.get(number, "") for number in _NAMES[kind])
                (self.operators if kind == "node" else self.own).add((domain, name))
        if "graph" not in found:
            raise self._refused(_CORRUPT)

    def metadata(self) -> dict[str, str]:
        """The entries of ModelProto.metadata_props."""
        return self._entries((0, self._size), 14)

    # -- what has a limit -----------------------------------------------------------------------------------

    def _declared(self, what: str, span: _Span) -> None:
        """An input, output or inner value: its images are no larger than a config may ask, its bytes bounded."""
        name, element, sides = self._value_info(span)
        if len(sides) > _MOST_SIDES:
            raise self._refused(f"declares the {what} '{name}' with {len(sides)} sides; that is no detector")
        known = [side for side in sides if side is not None]
        if any(side < 0 for side in known):
            raise self._refused(f"declares the {what} '{name}' with a negative size")
        if what == "input" and len(sides) == 4 and max(known, default=0) > LARGEST_SIDE:
            shown = " x ".join("?" if side is None else str(side) for side in sides)
            raise self._refused(
                f"takes images of {shown}; sides of at most {LARGEST_SIDE} pixels are accepted: "
                "export it again with a smaller imgsz"
            )
        taken, most = math.prod(known) * _BYTES.get(element, 4), largest_tensor()
        if known and taken > most:
            raise self._refused(
                f"declares the {what} '{name}' of {_mebibytes(taken)} MiB; at most {_mebibytes(most)} MiB are "
                "accepted on this box: export it again with a smaller imgsz or batch"
            )

    def _weights(self, _what: str, span: _Span) -> None:
        """Weights kept outside of the file lie in its folder, in a plain file that is long enough."""
        if entries := self._entries(span, 13):  # external_data
            self._external(entries)

    def _entries(self, span: _Span, wanted: int) -> dict[str, str]:
        """Keys and values of the field `wanted` of a message, a StringStringEntryProto each."""
        entries: dict[str, str] = {}
        for value in self._inner(span, wanted):
            pair = {field: self._text(inner) for field, inner in self._fields_of(value)}
            entries[pair.get(1, "")] = pair.get(2, "")
        return entries

    def _external(self, entries: dict[str, str]) -> None:
        location = entries.get("location", "")
        shown, folder = printable(location, 80), self._path.parent.resolve()
        place = Path(location)
        if not location or place.is_absolute() or "\0" in location:
            raise self._refused(
                f"keeps weights in '{shown}'; expected the name of a file beside it: keep it whole in one file"
            )
        found = (folder / place).resolve()
        if not found.is_relative_to(folder):
            raise self._refused(f"keeps weights in '{shown}', outside of its folder: keep it in one file")
        if not found.is_file():
            raise self._refused(f"keeps weights in '{shown}', which is not a file: copy that one too")
        numbers = [entries.get(key, "0") for key in ("offset", "length")]
        if not all(each.isascii() and each.isdigit() and len(each) < 16 for each in numbers):
            raise self._refused(f"names no place in '{shown}' where its weights lie: export it again")
        if sum(map(int, numbers)) > found.stat().st_size:
            raise self._refused(f"keeps weights beyond the end of '{shown}': copy that file again")
        self.beside.add(found)

    # -- the format -----------------------------------------------------------------------------------------

    def _value_info(self, span: _Span) -> tuple[str, int, list[int | None]]:
        """Name, element type and sides (None: free) of a ValueInfoProto; a type that is no tensor has no sides."""
        name, element = "", 0
        sides: list[int | None] = []
        for number, value in self._fields_of(span):
            if number == 1:
                name = printable(self._text(value), 80)
            elif number == 2:
                for shape in self._inner(value, 1):  # TypeProto.tensor_type
                    types = [one for field, one in self._fields_of(shape) if field == 1]
                    element = next((one for one in types if isinstance(one, int)), 0)
                    sides += [
                        self._side(side) for dims in self._inner(shape, 2) for side in self._inner(dims, 1)
                    ]
        return name, element, sides

    def _inner(self, value: int | _Span, wanted: int) -> list[_Span]:
        if not isinstance(value, tuple):
            return []
        return [one for number, one in self._fields_of(value) if number == wanted and isinstance(one, tuple)]

    def _side(self, span: _Span) -> int | None:
        sizes = [one for number, one in self._fields_of(span) if number == 1 and isinstance(one, int)]
        if not sizes:
            return None
        return sizes[-1] - 2**64 if sizes[-1] >= 2**63 else sizes[-1]

    def _text(self, value: int | _Span) -> str:
        return self._data[slice(*value)].decode("utf-8", "replace") if isinstance(value, tuple) else ""

    def _fields_of(self, span: _Span) -> Iterator[tuple[int, int | _Span]]:
        """Number and value of each field of a message: a number, or where its bytes lie."""
        at, end = span
        while at < end:
            self._fields += 1
            if self._fields > MOST_FIELDS:
                raise self._refused(f"has more than {MOST_FIELDS} parts; that is not a detector")
            key, at = self._varint(at, end)
            number, wire = key >> 3, key & 7
            if number == 0:
                raise self._refused(_CORRUPT)
            if wire == 0:
                value, at = self._varint(at, end)
                yield number, value
                continue
            length = 8 if wire == 1 else 4 if wire == 5 else -1
            if wire == 2:
                length, at = self._varint(at, end)
            if length < 0 or at + length > end:
                raise self._refused(_CORRUPT)
            yield number, (at, at + length)
            at += length

    def _varint(self, at: int, end: int) -> tuple[int, int]:
        value = 0
        for shift in range(0, 70, 7):
            if at >= end:
                break
            byte = self._data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value & (2**64 - 1), at
        raise self._refused(_CORRUPT)

    def _refused(self, why: str) -> ModelError:
        return ModelError(f"model {self._path} {why}")


def _mebibytes(size: int) -> str:
    return f"{size / 2**20:.0f}"
