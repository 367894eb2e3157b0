"""Parses data from outside (payloads, commands, files, answers of servers) within limits; nothing else may.

Every parser takes bytes or text of unknown origin and returns plain values, or raises `BadInput`, whose text is one
printable line. Nothing else comes out: no RecursionError for what is nested deeply, no Infinity, no integer of a
thousand digits, no half of a surrogate pair that breaks the next `encode`. The `take_...` functions read one entry of
an object as the type and range that the caller can live with.

A lint (ruff's banned-api and `tests/core/test_only_place.py`) keeps `json.loads` and its kin out of all other
modules.
"""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from agent.core.errors import VedetteError
from agent.core.printable import printable

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

TOMLDecodeError = tomllib.TOMLDecodeError
T = TypeVar("T")

LARGEST_BYTES = 1024 * 1024
DEEPEST = 32
LARGEST_INTEGER = 2**63 - 1
LONGEST_TEXT = 4096

# To its end or, where it has none, to the end of the data: one look at each byte, whatever is sent.
_STRING = re.compile(rb'"[^"]*(?:"|\Z)')
_CURLY = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
# Of TOML: strings and comments (as far as they go) to be passed over, and what nests.
_TOML_STRUCTURE = re.compile(
    r""""{3}(?:[^"\\]|\\.|"(?!""))*(?:"{3,5}|\\?\Z)|'{3}(?:[^']|'(?!''))*(?:'{3,5}|\Z)"""
    r"""|"(?:[^"\\\n]|\\.)*"?|'[^'\n]*'?|\#[^\n]*|[\[{}\].,=\n]""",
    re.DOTALL,
)
_SURROGATE = re.compile(r"\\u[dD][89abABcdefCDEF]")
_MISSING: Any = object()


class BadInput(VedetteError, ValueError):
    """What came from outside cannot be used: the text says why, in one printable line.

    It is a ValueError too: who reads data counts and discards one item for whatever reason it is bad.
    """


# -- parsers ----------------------------------------------------------------------------------------------------


def parse_json(data: bytes | str, *, largest: int = LARGEST_BYTES, deepest: int = DEEPEST) -> Any:
    """The value in `data`, at most `largest` bytes and `deepest` levels of nesting; raises BadInput.

    Strict: no NaN or Infinity, no number beyond a float's or a signed 64-bit integer's range.
    """
    return _parse(data, largest, deepest, parse_constant=_refuse_constant, parse_float=_float)


def parse_kept(data: bytes | str, *, largest: int = LARGEST_BYTES, deepest: int = DEEPEST) -> Any:
    """The value in a file that the agent wrote itself, in which Python's NaN and Infinity may stand; raises BadInput.

    Such a file may still be damaged, or put there by another.
    """
    return _parse(data, largest, deepest)


def _parse(data: bytes | str, largest: int, deepest: int, **numbers: Callable[[str], float]) -> Any:
    raw = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else bytes(data)
    if len(raw) > largest:
        raise BadInput(f"{len(raw)} bytes, at most {largest} are accepted")
    _check_depth(raw, deepest)
    try:
        text = raw.decode("utf-8")
        value = json.loads(text, parse_int=_integer, **numbers)  # type: ignore[arg-type]  # json takes any result of parse_int
    except BadInput:
        raise
    except UnicodeDecodeError:
        raise BadInput("not UTF-8 text") from None
    except (ValueError, RecursionError) as error:
        raise BadInput(f"not JSON: {printable(error, 80)}") from None
    if _SURROGATE.search(text):
        _check_text(value)
    return value


def parse_object(
    data: bytes | str, *, largest: int = LARGEST_BYTES, deepest: int = DEEPEST
) -> dict[str, Any]:
    """The JSON object in `data`; raises BadInput, for any other JSON value too."""
    value = parse_json(data, largest=largest, deepest=deepest)
    if not isinstance(value, dict):
        raise BadInput(f"a JSON object is expected, this is {kind_of(value)}")
    return value


def parse_toml(text: str, *, largest: int = LARGEST_BYTES, deepest: int = DEEPEST) -> dict[str, Any]:
    """The tables in `text`; raises BadInput for what is too large or too deep, TOMLDecodeError for a mistake in it.

    (A mistake is the writer's to mend and has a line: the reader of a config recognises it by that.)
    """
    if len(text) > largest:
        raise BadInput(f"{len(text)} characters, at most {largest} are accepted")
    _check_toml_depth(text, deepest)
    try:
        tables = tomllib.loads(text)
    except TOMLDecodeError:
        raise
    except RecursionError:
        raise BadInput(f"nested more than {deepest} levels deep") from None
    except ValueError as error:  # Python's own limits, such as 4,300 digits
        raise BadInput(f"not TOML: {printable(error, 80)}") from None
    _check_levels(tables, deepest)
    return tables


def parse_yaml(text: str, *, largest: int = LARGEST_BYTES, deepest: int = DEEPEST) -> Any:
    """The plain value in `text`; raises BadInput, and ModuleNotFoundError where the library is not installed."""
    import yaml

    if len(text) > largest:
        raise BadInput(f"{len(text)} characters, at most {largest} are accepted")
    try:
        value = yaml.safe_load(text)
    except (
        yaml.YAMLError,
        ArithmeticError,
        AttributeError,
        LookupError,
        RecursionError,
        TypeError,
        ValueError,
    ) as error:  # its constructors let what a wrong date, number or key makes of Python surface
        raise BadInput(f"not YAML: {printable(' '.join(str(error).split()), 200)}") from None
    _check_levels(value, deepest)
    return value


# -- entries of an object ------------------------------------------------------------------------------------------


def take_text(
    body: Mapping[str, Any], key: str, default: Any = _MISSING, *, longest: int = LONGEST_TEXT
) -> Any:
    """The string at `key`, at most `longest` characters; `default` where there is none. Raises BadInput."""
    value = body.get(key, _MISSING)
    if value is _MISSING or (value is None and default is not _MISSING):
        return _default(key, default, "a string")
    if not isinstance(value, str):
        raise BadInput(f"`{key}` is {kind_of(value)}; expected a string")
    if len(value) > longest:
        raise BadInput(f"`{key}` has {len(value)} characters; at most {longest} are accepted")
    return value


def take_number(
    body: Mapping[str, Any],
    key: str,
    default: Any = _MISSING,
    *,
    minimum: float = -math.inf,
    maximum: float = math.inf,
) -> Any:
    """The finite number at `key` as float, from `minimum` to `maximum`; raises BadInput."""
    value = body.get(key, _MISSING)
    if value is _MISSING or (value is None and default is not _MISSING):
        return _default(key, default, "a number")
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise BadInput(f"`{key}` is {kind_of(value)}; expected a number")
    if not (abs(value) <= sys.float_info.max and minimum <= value <= maximum):
        raise BadInput(f"`{key}` is {_brief(value)}; expected {_range(minimum, maximum)}")
    return float(value)


def take_integer(
    body: Mapping[str, Any],
    key: str,
    default: Any = _MISSING,
    *,
    minimum: int = -LARGEST_INTEGER - 1,
    maximum: int = LARGEST_INTEGER,
) -> Any:
    """The whole number at `key`, from `minimum` to `maximum` (2.0 is one); raises BadInput."""
    value = take_number(body, key, default, minimum=minimum, maximum=maximum)
    if value is default and default is not _MISSING and body.get(key) is None:
        return default
    if value != math.floor(value):
        raise BadInput(f"`{key}` is {_brief(value)}; expected a whole number")
    given = body[key]
    return given if isinstance(given, int) else int(value)


def take_flag(body: Mapping[str, Any], key: str, default: Any = _MISSING) -> Any:
    """The true or false at `key`; raises BadInput."""
    value = body.get(key, _MISSING)
    if value is _MISSING or (value is None and default is not _MISSING):
        return _default(key, default, "true or false")
    if not isinstance(value, bool):
        raise BadInput(f"`{key}` is {kind_of(value)}; expected true or false")
    return value


def take_object(body: Mapping[str, Any], key: str, default: Any = _MISSING) -> Any:
    """The object at `key`; raises BadInput."""
    value = body.get(key, _MISSING)
    if value is _MISSING or (value is None and default is not _MISSING):
        return _default(key, default, "an object")
    if not isinstance(value, dict):
        raise BadInput(f"`{key}` is {kind_of(value)}; expected an object")
    return value


def take_list(body: Mapping[str, Any], key: str, default: Any = _MISSING, *, longest: int = 10_000) -> Any:
    """The list at `key`, at most `longest` entries; raises BadInput."""
    value = body.get(key, _MISSING)
    if value is _MISSING or (value is None and default is not _MISSING):
        return _default(key, default, "a list")
    if not isinstance(value, list):
        raise BadInput(f"`{key}` is {kind_of(value)}; expected a list")
    if len(value) > longest:
        raise BadInput(f"`{key}` has {len(value)} entries; at most {longest} are accepted")
    return value


def take_integers(
    body: Mapping[str, Any],
    key: str,
    *,
    longest: int = 10_000,
    minimum: int = -LARGEST_INTEGER - 1,
    maximum: int = LARGEST_INTEGER,
) -> list[int]:
    """The whole numbers in the list at `key`, each from `minimum` to `maximum`, at most `longest`; raises BadInput."""
    entries = take_list(body, key, longest=longest)
    return [take_integer({key: each}, key, minimum=minimum, maximum=maximum) for each in entries]


def restore_kept(
    state: Mapping[str, Any], key: str, restore: Callable[[Mapping[str, Any]], T], without: T
) -> T:
    """What `restore` makes of the object at `key`; `without` it where there is none, as by a version before."""
    return without if state.get(key) is None else restore(take_object(state, key))


def take_objects(body: Mapping[str, Any], key: str, *, longest: int = 10_000) -> list[Mapping[str, Any]]:
    """The list of objects at `key`, at most `longest` of them; raises BadInput."""
    found: list[Mapping[str, Any]] = take_list(body, key, longest=longest)
    for one in found:
        if not isinstance(one, dict):
            raise BadInput(f"`{key}` has {kind_of(one)} in it; expected objects")
    return found


def kind_of(value: object) -> str:
    """What a parsed value is, in words that name no value (it may be secret)."""
    kinds: dict[type, str] = {bool: "true or false", int: "a number", float: "a number", str: "a string"}
    kinds |= {dict: "an object", list: "a list", type(None): "null"}
    return kinds.get(type(value), type(value).__name__)


# -- inside ---------------------------------------------------------------------------------------------------------


def _check_depth(raw: bytes, deepest: int) -> None:
    """Before parsing: Python's parser takes the stack's depth for a limit, and that is the caller's to spend.

    What is left without strings are brackets; each pass takes the innermost pairs away. A bracket that has no other
    is the parser's to find: it stops there.
    """
    if raw.count(b"[") + raw.count(b"{") <= deepest:
        return
    brackets = _STRING.sub(b"", raw.replace(rb"\\", b"").replace(rb"\"", b"")).translate(_CURLY, _NO_BRACKETS)
    for _ in range(deepest):
        if b"[]" not in brackets:
            break
        brackets = brackets.replace(b"[]", b"")
    if b"[]" in brackets or brackets.count(b"[") > deepest:
        raise BadInput(f"nested more than {deepest} levels deep")


def _check_toml_depth(text: str, deepest: int) -> None:
    """Before parsing, which takes the square of a dotted key's length, and the stack's depth for nested arrays."""
    depth = dots = 0
    for piece in _TOML_STRUCTURE.finditer(text):
        sign = piece[0]
        if sign in {"\n", "=", ","}:
            dots = 0
        elif sign == ".":
            dots += 1
        elif len(sign) == 1:
            depth += (sign in "[{") - (sign in "]}")
        if depth > deepest or dots > deepest:
            raise BadInput(f"nested more than {deepest} levels deep")


def _check_levels(value: Any, deepest: int) -> None:
    level, depth = [value], 0
    while level:
        if depth > deepest:
            raise BadInput(f"nested more than {deepest} levels deep")
        # Each once: YAML's aliases make few bytes into billions of paths to the same objects.
        inner = {id(one): one for one in level if isinstance(one, (dict, list))}.values()
        entries = (one.values() if isinstance(one, dict) else one for one in inner)
        level, depth = [entry for some in entries for entry in some], depth + 1


def _check_text(value: Any) -> None:
    """Refuse halves of surrogate pairs, in keys and values: no UTF-8 can be made of them."""
    rest = [value]
    while rest:
        one = rest.pop()
        if isinstance(one, dict):
            rest += [*one.keys(), *one.values()]
        elif isinstance(one, list):
            rest += one
        elif isinstance(one, str) and any("\ud800" <= sign <= "\udfff" for sign in one):
            raise BadInput("half of a surrogate pair in a string")


def _refuse_constant(name: str) -> float:
    raise BadInput(f"{name} is not a JSON number")


def _float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise BadInput(f"the number {_brief(digits)} is out of range")
    return value


def _integer(digits: str) -> int:
    if len(digits) > 20 or abs(int(digits)) > LARGEST_INTEGER:
        raise BadInput(f"the number {_brief(digits)} is out of range")
    return int(digits)


def _default(key: str, default: Any, expected: str) -> Any:
    if default is _MISSING:
        raise BadInput(f"`{key}` is missing; expected {expected}")
    return default


def _brief(value: object) -> str:
    return printable(value, 24)


def _range(minimum: float, maximum: float) -> str:
    if math.isinf(minimum) and math.isinf(maximum):
        return "a finite number"
    if math.isinf(maximum):
        return f"{minimum:g} or more"
    return f"{maximum:g} or less" if math.isinf(minimum) else f"from {minimum:g} to {maximum:g}"
