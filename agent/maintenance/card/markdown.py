"""A card as Markdown with the front matter that Hugging Face reads, and as one HTML file that loads nothing. Pure."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from markdown_it import MarkdownIt

from agent.maintenance.card import SECTIONS, Section
from agent.maintenance.card.person import Answers
from agent.maintenance.card.words import plain

GAP = "*Not recorded:*"
_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:56rem;margin:2rem auto;padding:0 1rem;color:#222}"
    "table{border-collapse:collapse;margin:1rem 0}td,th{border:1px solid #ccc;padding:.3rem .6rem;text-align:left;"
    "vertical-align:top;overflow-wrap:anywhere}code,pre{font-family:ui-monospace,monospace;background:#f4f4f4}"
    "pre{padding:.8rem;overflow-x:auto}img{max-width:100%}em:first-child{color:#a33}h2{margin-top:2.5rem}"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """What a card holds: `known` is the Markdown of each section by its name, `answers` what a person added.

    `file` is the name of the person's file, `pictures` are SVG texts by file name; `front` is the front matter.
    """

    title: str
    made: str
    file: str
    front: Mapping[str, Any]
    known: Mapping[str, Sequence[str]]
    answers: Answers
    pictures: Mapping[str, str]


def front_matter(
    name: str, licence: str, tags: Sequence[str], report: Mapping[str, Any] | None
) -> dict[str, Any]:
    """The card's metadata, as Hugging Face defines it; results only where there are some."""
    front: dict[str, Any] = {
        "license": licence.lower() or "other",
        "library_name": "onnx",
        "pipeline_tag": "object-detection",
        "tags": list(tags),
    }
    if report is not None:
        figures = report["models"][0]["all"]
        front["model-index"] = [
            {
                "name": name,
                "results": [
                    {
                        "task": {"type": "object-detection"},
                        "dataset": {
                            "name": str(report["data"]),
                            "type": "own",
                            "split": str(report["split"]),
                        },
                        "metrics": [
                            {"type": kind, "name": title, "value": figures[kind]}
                            for kind, title in (
                                ("precision", "precision"),
                                ("recall", "recall"),
                                ("map50", "mAP50"),
                                ("map50_95", "mAP50-95"),
                            )
                        ],
                    }
                ],
            }
        ]
    return front


def markdown(card: Card) -> str:
    """The card as Markdown."""
    lines = [f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in card.front.items()]
    return "\n".join(["---", *lines, "---", "", _body(card)])


def _body(card: Card) -> str:
    parts = [f"# {plain(card.title)}", f"Written by `vedette model card` on {card.made}."]
    gaps = sum(
        1
        for section in SECTIONS
        for question in section.questions
        if not _answer(card, section, question.key)
    )
    if gaps:
        parts.append(f"{gaps} questions have no answer yet; each is marked, and goes into `{card.file}`.")
    for section in SECTIONS:
        parts += [f"## {section.title}", *_section(card, section)]
    return "\n\n".join(parts) + "\n"


def _section(card: Card, section: Section) -> Iterator[str]:
    known = [part for part in card.known.get(section.name, ()) if part]
    yield from known
    for question in section.questions:
        if answer := _answer(card, section, question.key):
            yield f"**{question.text}** {answer}"
        else:
            yield f"{GAP} {question.text} (`{section.name}.{question.key}`)"
    if not known and not section.questions:
        yield f"{GAP} nothing is known of it on this machine."


def _answer(card: Card, section: Section, key: str) -> str:
    return card.answers.get(section.name, {}).get(key, "")


def html(card: Card) -> str:
    """The card as one HTML file: pictures are in it, and nothing in it is run or loaded."""
    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(_body(card))
    for name, svg in card.pictures.items():
        data = base64.b64encode(svg.encode()).decode()
        body = body.replace(f'src="{name}"', f'src="data:image/svg+xml;base64,{data}"')
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(card.title)}</title><style>{_STYLE}</style></head><body>\n{body}</body></html>\n"
    )
