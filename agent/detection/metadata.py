"""Reads the metadata of an Ultralytics export: names, task, stride, input size. It is data from outside."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from agent.core.errors import ModelError
from agent.core.printable import printable
from agent.core.untrusted import BadInput, kind_of
from agent.detection.literals import LARGEST_TEXT, parse_literal

INPUT_KEY = "vedette_input"  # written by `vedette model prepare --input uint8`
LETTERBOX_KEY = "vedette_letterbox"  # by `vedette model prepare --letterbox graph`

PRECISION_KEY = "vedette_precision"  # these by `vedette model prepare --int8`
INT8_F1_KEY = "vedette_int8_f1"
INT8_WEIGHTS_KEY = "vedette_int8_weights"
INT8_ENGINES_KEY = "vedette_int8_engines"

LARGEST_SIDE = 4096
"""Pixels of a side of the input: the largest `input_size` that a config may set."""

LEAST_STRIDE = 32
"""Sides of a free input are multiples of it, whatever a model declares: Ultralytics writes the stride of the coarsest
grid of boxes, and a backbone may halve frames more often than that. It trains in steps of 32 itself."""

LARGEST_STRIDE = 1024
MOST_CLASSES = 10_000
LONGEST_NAME = 200
_LONGEST_WORD = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """The metadata of a model; empty or 0 where it has none. `image_size` is (height, width).

    `precision` is "int8" where it was prepared so; then `int8_f1` is what it reached by fp32, `int8_weight_bits` what
    its weights have, `int8_engines` the providers on which that holds. `letterboxes` is True where frames go in as they
    are and the graph resizes them. All of it is printable and within limits.
    """

    names: tuple[str, ...] = ()
    task: str = ""
    end_to_end: bool = False
    stride: int = LEAST_STRIDE
    image_size: tuple[int, int] | None = None
    description: str = ""
    version: str = ""
    input_type: str = ""
    letterboxes: bool = False
    precision: str = ""
    int8_f1: float = 0.0
    int8_weight_bits: int = 0
    int8_engines: tuple[str, ...] = ()


def parse(raw: Mapping[str, str], model: object) -> Metadata:
    """Metadata of an ONNX file's key-value pairs; raises ModelError that names `model`, the key and what to do."""

    def entry(key: str, read: Callable[[Any], Any], absent: Any) -> Any:
        text = raw.get(key, "").strip()
        if not text:
            return absent
        try:
            return read(parse_literal(text))
        except BadInput as error:
            raise ModelError(
                f"model {model}: its metadata `{key}` cannot be used: {error}; export the model again, or "
                "remove that entry"
            ) from None

    return Metadata(
        names=_plain_names(raw.get("names", "")) or entry("names", _names, ()),
        task=_word(raw, "task"),
        end_to_end=entry("end2end", _flag, absent=False) or entry("args", _with_nms, absent=False),
        stride=max(LEAST_STRIDE, entry("stride", lambda value: _whole(value, LARGEST_STRIDE), LEAST_STRIDE)),
        image_size=entry("imgsz", _size, None),
        description=printable(raw.get("description", "").strip()),
        version=_word(raw, "version"),
        input_type=_word(raw, INPUT_KEY),
        letterboxes=_word(raw, LETTERBOX_KEY) == "graph",
        precision="int8" if _word(raw, PRECISION_KEY) == "int8" else "",
        int8_f1=entry(INT8_F1_KEY, _ratio, 0.0),
        int8_engines=tuple(_word(raw, INT8_ENGINES_KEY).split()),
        int8_weight_bits=entry(INT8_WEIGHTS_KEY, lambda value: _whole(value, 8), 0),
    )


def _word(raw: Mapping[str, str], key: str) -> str:
    return printable(raw.get(key, "").strip(), _LONGEST_WORD)


def _names(value: Any) -> tuple[str, ...]:
    """Class names in order: of a list, or of a dict by class number."""
    if isinstance(value, dict):
        value = _in_order(value)
    if not isinstance(value, list):
        raise BadInput(f"it is {kind_of(value)}; expected class names by number, such as {{0: 'person'}}")
    if len(value) > MOST_CLASSES:
        raise BadInput(f"{len(value)} classes, at most {MOST_CLASSES} are accepted")
    return tuple(_name(number, name) for number, name in enumerate(value))


def _plain_names(text: str) -> tuple[str, ...]:
    """Names written without any notation, between commas or line ends; () where there is one."""
    separated = "," in text or "\n" in text.strip()
    if not separated or len(text) > LARGEST_TEXT or any(mark in text for mark in "[]{}()'\":"):
        return ()
    return _names([name.strip() for name in text.replace("\n", ",").split(",") if name.strip()])


def _in_order(named: dict[Any, Any]) -> list[Any]:
    """Names by number; numbers begin at 0, or at 1 as some tools count."""
    numbers = {_class_number(key): name for key, name in named.items()}
    first = 0 if 0 in numbers else 1
    if set(numbers) != set(range(first, first + len(named))):
        raise BadInput(f"its {len(named)} classes are not numbered from 0 to {len(named) - 1}, nor from 1 on")
    return [numbers[number] for number in range(first, first + len(numbers))]


def _class_number(key: Any) -> Any:
    return int(key) if isinstance(key, str) and key.isascii() and key.isdigit() and len(key) < 8 else key


def _name(number: int, name: Any) -> str:
    if name is None or isinstance(name, (list, dict)):
        raise BadInput(f"the name of class {number} is {kind_of(name)}; expected a string")
    text = str(name)
    if len(text) > LONGEST_NAME:
        raise BadInput(
            f"the name of class {number} has {len(text)} characters; at most {LONGEST_NAME} are accepted"
        )
    return printable(text)


def _size(value: Any) -> tuple[int, int]:
    """One side, or height and width."""
    if not isinstance(value, list):
        side = _whole(value, LARGEST_SIDE)
        return side, side
    if len(value) != 2:
        raise BadInput(f"it has {len(value)} numbers; expected [height, width]")
    return _whole(value[0], LARGEST_SIDE), _whole(value[1], LARGEST_SIDE)


def _whole(value: Any, largest: int) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != value // 1:
        what = printable(value, 24) if isinstance(value, float) else kind_of(value)
        raise BadInput(f"it is {what}; expected a whole number")
    if not 1 <= value <= largest:
        raise BadInput(f"it is {printable(value, 24)}; expected a whole number from 1 to {largest}")
    return int(value)


def _ratio(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise BadInput(f"it is {printable(value, 24)}; expected a number from 0 to 1")
    return float(value)


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise BadInput(f"it is {kind_of(value)}; expected True or False")
    return value


def _with_nms(arguments: Any) -> bool:
    """Whether the export's arguments say that suppression is part of the graph."""
    return isinstance(arguments, dict) and bool(arguments.get("nms"))
