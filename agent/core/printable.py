"""Text from outside, made safe to print: nothing in it can move a cursor, set a title, hide or reorder words.

What comes from a broker, a camera, a model file or a server passes here before it reaches a terminal, a log
line or a page. What is replaced stays visible as an escape (`\\x1b`), so that nobody has to guess what was there.
"""

from __future__ import annotations

import re

LONGEST = 500
"""Characters of one text that are shown, unless the caller says otherwise: a line or two of a terminal."""

# Control characters (C0 with tab and line break, DEL, C1), line and paragraph separators, marks that are invisible or
# turn the direction of writing (Unicode TR36, TR9: "Trojan source"), tags, halves of surrogate pairs.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff"
    "\U000e0000-\U000e007f]"
)


def printable(value: object, longest: int = LONGEST) -> str:
    """`value` as one line of text with every unsafe character escaped, cut after `longest` characters.

    >>> printable("front\\x1b]52;c;cm0=\\x07")
    'front\\\\x1b]52;c;cm0=\\\\x07'
    """
    text = value if isinstance(value, str) else str(value)
    cut = len(text) > longest
    safe = _UNSAFE.sub(_escape, text[:longest])
    return f"{safe}…" if cut else safe


def printable_lines(value: object, longest: int = 10_000) -> str:
    """The same for text of several lines: line breaks and tabs stay."""
    text = (value if isinstance(value, str) else str(value))[:longest]
    return _UNSAFE.sub(lambda found: found[0] if found[0] in "\n\t" else _escape(found), text)


def printable_output(text: str) -> str:
    """The same for all that a program prints: nothing is cut, and the escapes (`\\u001b`) are JSON's and TOML's too.

    >>> printable_output('{"name": "\\x7f"}')
    '{"name": "\\\\u007f"}'
    """
    return _UNSAFE.sub(lambda found: found[0] if found[0] in "\n\t" else _escape_unicode(found[0]), text)


def _escape_unicode(character: str) -> str:
    code = ord(character)
    if code < 0x10000:
        return f"\\u{code:04x}"
    code -= 0x10000  # JSON has no more than four digits: two halves of a surrogate pair
    return f"\\u{0xD800 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
