"""What a section of the report is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Picture:
    """One drawing with its words.

    Parameters
    ----------
    title : str
        What is seen.
    svg : str
        An ``<svg>`` element, safe to insert.
    caption : str
        How to read it.
    """

    title: str
    svg: str
    caption: str


@dataclass(frozen=True)
class Section:
    """One section, ready for its template.

    Parameters
    ----------
    anchor : str
        Its id on the page; the template is ``<anchor>.html``.
    name : str
        For the table of contents.
    headline : str
        What is seen, in a line.
    content : mapping
        What the template shows, as ``c``.
    pictures : tuple of Picture
        Shown after the section's text.
    """

    anchor: str
    name: str
    headline: str
    content: Mapping[str, object] = field(default_factory=dict)
    pictures: tuple[Picture, ...] = ()
