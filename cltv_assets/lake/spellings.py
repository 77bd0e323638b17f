"""How a customer's id may be spelled: in a column, in a line that could not be split, and in what Dagster recorded.

Tables, the source and the history are searched with the same spellings, so that what one of them calls the
customer is found in the others too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import cached_property

import pyarrow as pa
import pyarrow.compute as pc

#: Characters of a cell in the tables that earlier releases recorded; a longer text ends with an ellipsis there.
CELL = 80
#: So many of an id's first characters at a cut tell of the customer.
_TELLING = 4
_QUOTES = "'\"`"


class Spellings:
    """The spellings of one customer's id.

    Parameters
    ----------
    customer : str
        The id as ``cleaned_transactions`` has it.
    fold : callable
        Returns a text in the spelling that stands for all that are one customer, see ``source.customer_id_folding``.
    """

    def __init__(self, customer: str, fold: Callable[[str], str] = str) -> None:
        self.customer = customer
        self._fold = fold

    @cached_property
    def _texts(self) -> list[str]:
        """The id as CSV, JSON and Python write it, the longest first."""
        plain = self.customer
        # CSV doubles quotes within a field, and JSON escapes them, and often letters.
        escaped = json.dumps(plain)[1:-1]
        texts = {plain, plain.replace('"', '""'), plain.replace('"', r"\""), escaped, repr(plain)[1:-1]}
        texts.add(re.sub(r"(?<=\\u)[0-9a-f]{4}", lambda code: code[0].upper(), escaped))
        # Line breaks as other systems write them, and as they stand where a text is shown in one line.
        texts |= {text.replace("\n", other) for text in tuple(texts) for other in ("\r\n", " ", "\r ")}
        texts |= {" ".join(text.split()) for text in tuple(texts)}
        return sorted(texts - {""}, key=len, reverse=True)

    @cached_property
    def _word(self) -> re.Pattern[str]:
        whole = "(?:\\.0+)?" if self.customer.isdecimal() else ""
        return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, self._texts))}){whole}(?!\w)")

    def in_column(self, ids: pa.Array) -> pa.BooleanArray:
        """Return which delivered ids are the customer's: with blanks around, as ``17850.0`` for ``17850``."""
        given = pc.utf8_trim_whitespace(ids)
        found = pc.equal(given, self.customer)
        if self.customer.isdecimal():
            found = pc.or_kleene(found, pc.match_substring_regex(given, rf"^{self.customer}\.0+$"))
        return found.fill_null(False)

    def in_lines(self, lines: pa.Array) -> pa.BooleanArray:
        """Return which whole lines have the customer as a word."""
        return pa.array([text is not None and self.in_text(text) for text in lines.to_pylist()], pa.bool_())

    def in_text(self, text: str) -> bool:
        """Return whether a text has the customer as a word, or as several."""
        if self._word.search(text):
            return True
        folded = self._fold(text)
        return folded != text and self._word.search(folded) is not None

    def in_cut_text(self, text: str) -> bool:
        """Return whether a text that was cut off ends with the beginning of the id."""
        texts = {text, self._fold(text)}
        return any(
            one.endswith(spelled[:count]) and not one[: len(one) - count][-1:].isalnum()
            for one in texts
            for spelled in self._texts
            for count in range(_TELLING, min(len(spelled), len(text)) + 1)
        )

    def in_cell(self, cell: str) -> bool:
        """Return whether a cell of a recorded Markdown table shows the customer, whole or cut off."""
        text = re.sub(r"\\([\\|`*\[\]<>&~$_])", r"\1", cell)
        if any(self.in_text(one) for one in (cell, text, cell.replace("\\|", "|"))):
            return True
        return cell.endswith("…") and any(self.in_cut_text(one[:-1]) for one in (text, cell.replace("\\|", "|")))

    def without(self, message: str, instead: str) -> str:
        """Return a recorded message with a word in place of each quotation that names the customer."""
        for text in self._texts:
            for quote in _QUOTES:
                message = message.replace(f"{quote}{text}{quote}", f"{quote}{instead}{quote}")
        if any(quote in self.customer for quote in _QUOTES):
            message = self._word.sub(instead, message)
        # Between two quotes; where one of them is an apostrophe, more goes than must.
        parts = re.split(f"([{_QUOTES}])", message)
        for at in range(2, len(parts) - 2, 2):
            part = parts[at]
            if self.in_text(part) or (part.endswith("…") and self.in_cut_text(part[:-1])):
                parts[at] = instead
        return "".join(parts)
