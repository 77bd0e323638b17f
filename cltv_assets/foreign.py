r"""Makes text that came from others harmless where it is shown.

Ids, file names and values of a delivery may hold anything: Markdown, which the Dagster UI renders in messages of
checks and in metadata, so that a picture in it is fetched; escape sequences, which a terminal obeys; marks that turn
the direction of writing. The report escapes by itself (`report/sections/section.py`), and `cltv export` marks formulas.
"""

from __future__ import annotations

import re

#: What Markdown may take for markup, wherever it stands. An underscore inside a word is none.
_MARKUP = re.compile(r"[\\`*\[\]<>&~$|]|(?<![^\W_])_|_(?![^\W_])")
#: What makes a list, a heading or a rule at the beginning of a paragraph.
_BEGINNING = re.compile(r"^(\s*)([#=+-]|\d{1,9}(?=[.)]))")
#: What becomes a link without any mark, in two halves.
_LINK = re.compile(r"(?i)(https?:|ftp:|mailto:|xmpp:|www|@)(?=//|\.|[\w-])")
#: Has no width and breaks no line, but a link.
_JOINER = "\u2060"
_ESCAPED = re.compile(r"\\([\\`*\[\]<>&~$|_#=+.)-])")
#: Spaces of other widths are harmless.
_SPACES = "\u00a0\u202f\u3000"


def without_credentials(text: str, instead: str = "…@") -> str:
    """Return text without the users and passwords of addresses in it."""
    # Up to the last @ of a word: passwords may hold one, and slashes.
    return re.sub(r"://[^\s'\"]*@", f"://{instead}", text)


def visible(text: str) -> str:
    r"""Return text with every character that a terminal would obey, or not show, spelled as ``\x1b``."""
    if text.isprintable():
        return text
    return "".join(
        one if one.isprintable() or one in _SPACES else one.encode("unicode_escape").decode() for one in text
    )


def visible_lines(text: str) -> str:
    """Return text as `visible` does, but leave the ends of lines."""
    return text if text.isprintable() else "\n".join(map(visible, text.split("\n")))


def for_markdown(text: str) -> str:
    """Return text that Markdown shows as it is: as a paragraph, inside one, or in a cell of a table."""
    text = _LINK.sub(rf"\1{_JOINER}", _MARKUP.sub(r"\\\g<0>", visible(text)))
    return _BEGINNING.sub(_without_beginning, text)


def _without_beginning(found: re.Match[str]) -> str:
    blank, mark = found.groups()
    # Of a numbered list the mark is behind the number.
    return f"{blank}{mark}{_JOINER}" if mark.isdecimal() else f"{blank}\\{mark}"


def from_markdown(text: str) -> str:
    """Return what `for_markdown` was given, with its `visible` characters."""
    return _ESCAPED.sub(r"\1", text.replace(_JOINER, ""))
