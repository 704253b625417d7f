"""One HTML page with everything inside: style, plots, pictures, clips. Opens from disk, fetches nothing."""

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from importlib import resources
from typing import Final

_TYPES: Final = {"png": "image/png", "webp": "image/webp"}


@dataclass(frozen=True)
class Section:
    """One part of the page.

    Attributes:
        title: Headline; it also becomes the anchor in the list at the top.
        parts: Ready HTML, one below the other.
    """

    title: str
    parts: Sequence[str]

    @property
    def anchor(self) -> str:
        """Target of links to this section."""
        return "".join(letter if letter.isalnum() else "-" for letter in self.title.lower())


@dataclass(frozen=True)
class Page:
    """What the page says.

    Attributes:
        title: Headline.
        subtitle: One line below it.
        facts: Label and value of the facts in the band below (seed, starts, commit, ...).
        sections: The parts, in order.
    """

    title: str
    subtitle: str
    facts: Mapping[str, str]
    sections: Sequence[Section] = field(default_factory=tuple)


def render(page: Page) -> str:
    """The page as one HTML document."""
    style = resources.files("wam.report").joinpath("page.css").read_text(encoding="utf-8")
    links = "".join(f'<a href="#{part.anchor}">{escape(part.title)}</a>' for part in page.sections)
    facts = "".join(f"<div><dt>{escape(k)}</dt><dd>{escape(v)}</dd></div>" for k, v in page.facts.items())
    body = "".join(
        f'<section id="{part.anchor}"><h2>{escape(part.title)}</h2>{"".join(part.parts)}</section>'
        for part in page.sections
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(page.title)}</title><style>{style}</style></head><body><main>"
        f"<header><h1>{escape(page.title)}</h1><p>{escape(page.subtitle)}</p><dl>{facts}</dl>"
        f"<nav>{links}</nav></header>"
        f"{body}</main></body></html>\n"
    )


def paragraph(text: str) -> str:
    """A paragraph of plain text."""
    return f"<p>{escape(text)}</p>"


def note(text: str) -> str:
    """A remark set apart, such as how to read a table."""
    return f'<p class="note">{escape(text)}</p>'


def heading(text: str) -> str:
    """A headline inside a section."""
    return f"<h3>{escape(text)}</h3>"


def figure(svg: str, caption: str) -> str:
    """A plot with its caption."""
    return f"<figure>{svg}<figcaption>{escape(caption)}</figcaption></figure>"


def picture(name: str, content: bytes, caption: str) -> str:
    """A picture or clip, inlined.

    Args:
        name: File name; its ending says what it is.
        content: The encoded file.
        caption: Text below it, and for readers without pictures.

    Raises:
        ValueError: If the ending is neither png nor webp.
    """
    ending = name.rsplit(".", 1)[-1].lower()
    if ending not in _TYPES:
        raise ValueError(f"{name} is not a picture of a known kind ({', '.join(_TYPES)})")
    source = f"data:{_TYPES[ending]};base64,{base64.b64encode(content).decode()}"
    text = escape(caption)
    return f'<figure><img src="{source}" alt="{text}" loading="lazy"><figcaption>{text}</figcaption></figure>'


def gallery(pictures: Iterable[str]) -> str:
    """Pictures side by side, as many as fit."""
    return f'<div class="gallery">{"".join(pictures)}</div>'


def cards(values: Mapping[str, tuple[str, str]]) -> str:
    """The headline figures: title to value and remark."""
    return (
        '<div class="cards">'
        + "".join(
            f"<div><small>{escape(title)}</small><b>{escape(value)}</b><i>{escape(remark)}</i></div>"
            for title, (value, remark) in values.items()
        )
        + "</div>"
    )


def details(summary: str, content: str) -> str:
    """Content that is folded away until asked for."""
    return f"<details><summary>{escape(summary)}</summary>{content}</details>"
