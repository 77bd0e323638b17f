"""Turns a source's columns into the lines of ``raw_transactions``, as the settings say what a line means.

Whatever depends on the source's own columns is decided here, once, for every engine: which of several ids
counts, whether the line counts at all, and that a refund beside a sale is a line of its own. What
only the canonical columns need, such as spellings of numbers and times, is left to the cleaning.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cltv_assets.settings import Source
from cltv_assets.settings.source_fields import Condition
from cltv_assets.sources.contents import characters
from cltv_assets.sources.delivered import RAW_TRANSACTIONS
from cltv_assets.sources.files import SourceFile
from cltv_assets.sources.reading import Lines, Reader, lines_of

#: Value of ``booked_as`` for money that goes back.
REFUND = "refund"
#: Columns that a refund beside the sale does not share with it.
_OF_THE_SALE = ("quantity", "unit_price", "cost", "unit_cost", "margin")
#: Blanks that `str.strip` does not know: those of width zero.
_ZERO_WIDTH = "\u200b\u200c\u200d\u2060\ufeff"


class Meaning:
    """What the lines of one file mean; take them in their order.

    Parameters
    ----------
    source : Source
        The settings.
    name : str
        The file's name, relative to the source.
    """

    def __init__(self, source: Source, name: str) -> None:
        self._source = source
        self._columns = source.mapping
        self._name = name
        #: Lines so far that continue the record of the line before, as in a quoted field with line breaks.
        self.continued = 0
        #: Of the last line: its transaction, and the fields of the columns that are filled down.
        self._last: dict[str, str | None] = {}

    @property
    def fills_down(self) -> bool:
        """Whether a line may need the one before."""
        return bool(self._source.fill_down)

    def transactions(self, batches: Iterable[Lines]) -> Iterator[pa.RecordBatch]:
        """Yield lines in the schema of ``raw_transactions``."""
        for lines in batches:
            self.continued += lines.continued
            yield self._batch(lines)

    def _batch(self, lines: Lines) -> pa.RecordBatch:
        fields = {name: _without_empty(texts) for name, texts in lines.columns.items()}
        if self._source.fill_down:
            fields |= self._filled(fields)
        found = {name: fields[there[0]] for name, there in self._columns.items()}
        found["customer_id"] = self._customer([fields[name] for name in self._columns["customer_id"]])
        times = [fields[name] for name in self._columns["transacted_at"]]
        if len(times) > 1:
            found["transacted_at"] = _joined(times, " ")
        found["not_counted"] = self._not_counted(fields)
        if self._source.attributes:
            found["attributes"] = as_json({name: fields[name] for name in self._source.attributes}, self._missing)
        kept = {name: texts for name, texts in fields.items() if self._source.keeps(name)}
        found["other_columns"] = others_as_json(kept) if lines.others is None else lines.others
        if self._source.sign is not None:
            refund = _is_one(fields[self._source.sign.column], self._source.sign.refund)
            found["booked_as"] = pc.if_else(refund, pa.scalar(REFUND), pa.scalar(None, pa.string()))
        batch = _raw(self._name, lines, found)
        if "refund_amount" in self._columns:
            return self._with_refunds(batch, found["refund_amount"], found.get("refunded_at"))
        return batch

    def _customer(self, ids: Sequence[pa.Array]) -> pa.Array:
        """Return the first id of each line that is not missing, folded; the last one if all are."""
        chosen = ids[-1]
        for texts in reversed(ids[:-1]):
            chosen = pc.if_else(self._missing(texts), chosen, texts)
        return folded(chosen, self._source.customer_id_folding)

    def _missing(self, texts: pa.Array) -> pa.Array:
        return pc.or_(pc.is_null(texts), _is_one(texts, self._source.missing_words))

    def _not_counted(self, fields: Mapping[str, pa.Array]) -> pa.Array | None:
        """Return the first condition that each line does not meet, as column and value; null if it meets all."""
        conditions = list(self._source.where.items())
        if self._source.count_status:
            conditions += [(name, Condition(any_of=self._source.count_status)) for name in self._columns["status"]]
        found: pa.Array | None = None
        for name, condition in reversed(conditions):
            text = pc.binary_join_element_wise(name, fields[name].fill_null("empty"), ": ")
            met = _meets(fields[name], condition)
            found = pc.if_else(met, pa.scalar(None, pa.string()) if found is None else found, text)
        return found

    def _with_refunds(self, batch: pa.RecordBatch, amounts: pa.Array, times: pa.Array | None) -> pa.RecordBatch:
        """Add a row for each refund beside a sale, after the sale's row or, where that has no amount, in its place."""
        zero = pc.and_(pc.match_substring(amounts, "0"), pc.invert(pc.match_substring_regex(amounts, "[1-9]")))
        # A dash is how spreadsheets show nothing.
        nothing = pc.or_(zero, pc.match_substring_regex(amounts, r"^[\s\-\x{2013}\x{2014}]*$")).fill_null(False)
        given = pc.and_not(pc.is_valid(amounts), pc.or_(nothing, self._missing(amounts)))
        if not given.true_count:
            return batch
        rows = {name: batch.column(name) for name in batch.schema.names}
        if times is not None:
            rows["transacted_at"] = pc.if_else(self._missing(times), rows["transacted_at"], times)
        count = batch.num_rows
        rows |= {name: pa.nulls(count, pa.string()) for name in _OF_THE_SALE}
        rows |= {"amount": amounts, "booked_as": pa.repeat(pa.scalar(REFUND), count)}
        refunds = pa.RecordBatch.from_pydict(rows, schema=batch.schema).filter(given)
        if "amount" in self._columns:
            # Money that goes out may have a column of its own, as debit beside credit: such a line is no sale.
            batch = batch.filter(pc.invert(pc.and_(given, self._missing(batch["amount"]))))
        both = pa.Table.from_batches([batch, refunds]).combine_chunks()
        # The digests of a file want its lines in order.
        order = np.argsort(both["source_line"].to_numpy(), kind="stable")
        return both.take(pa.array(order)).combine_chunks().to_batches()[0]

    def _filled(self, fields: Mapping[str, pa.Array]) -> dict[str, pa.Array]:
        """Fill empty fields from the line before of the same transaction."""
        (key,) = self._columns["transaction_id"]
        # The last line of the batch before stands before the first one.
        ids = pa.concat_arrays([pa.array([self._last.get(key)], pa.string()), fields[key]])
        same = pc.equal(ids.slice(1), ids.slice(0, len(ids) - 1)).fill_null(False).to_numpy(zero_copy_only=False)
        filled = {}
        for name in self._source.fill_down:
            texts = pa.concat_arrays([pa.array([self._last.get(name)], pa.string()), fields[name]])
            own = np.concatenate(([True], texts.slice(1).is_valid().to_numpy(zero_copy_only=False) | ~same))
            source = np.maximum.accumulate(np.where(own, np.arange(len(texts)), 0))
            filled[name] = texts.take(pa.array(source)).slice(1)
        if len(ids) > 1:
            self._last = {key: ids[-1].as_py(), **{name: texts[-1].as_py() for name, texts in filled.items()}}
        return filled


def as_json(columns: Mapping[str, pa.Array], missing: Callable[[pa.Array], pa.Array]) -> pa.Array:
    """Return the fields of each line as a JSON object, without those that are missing; null where all are.

    Each value is spelled as `one_spelling` does.
    """
    pairs = []
    for name, texts in columns.items():
        encoded = pc.if_else(missing(texts), pa.scalar(None, pa.string()), texts).dictionary_encode()
        values = map(one_spelling, encoded.dictionary.to_pylist())
        spelled = [f'"{name}": {json.dumps(text, ensure_ascii=False)}' if text else None for text in values]
        pairs.append(pa.array(spelled, pa.string()).take(encoded.indices))
    return pc.binary_join_element_wise("{", _joined(pairs, ", "), "}", "")


def one_spelling(value: str) -> str:
    """Return the value of an attribute without blanks around it and control characters."""
    return _trimmed("".join(c if c.isprintable() else " " for c in value))


#: What JSON writes in another way inside a text: quotes, backslashes, and all before the blank.
_ESCAPED = r'["\\\x00-\x1f]'


def others_as_json(columns: Mapping[str, pa.Array]) -> pa.Array | None:
    """Return the fields of each line, as they are, as a JSON object; without those that are null, null where all are.

    Whole columns are joined, because notes and addresses have too many values to spell each in Python.
    """
    pairs = []
    for name, texts in columns.items():
        if texts.null_count < len(texts):
            begin = f', {json.dumps(name, ensure_ascii=False)}: "'
            pairs.append(pc.binary_join_element_wise(begin, _escaped(texts), '"', ""))
    if not pairs:
        return None
    whole = pc.binary_join_element_wise(*pairs, "}", "", null_handling="replace")
    # The comma before the first field becomes the beginning.
    found = pc.binary_replace_slice(whole, 0, 2, "{")
    return pc.if_else(pc.equal(whole, "}"), pa.scalar(None, pa.string()), found)


def _escaped(texts: pa.Array) -> pa.Array:
    found = characters(texts)
    # A look at all bytes at once takes a thirtieth of a regular expression for each text.
    if not ((found < ord(" ")) | (found == ord('"')) | (found == ord("\\"))).any():
        return texts
    odd = pc.match_substring_regex(texts, _ESCAPED).fill_null(False)
    spelled = [json.dumps(text, ensure_ascii=False)[1:-1] for text in texts.filter(odd).to_pylist()]
    return pc.replace_with_mask(texts, odd, pa.array(spelled, pa.string()))


def read_transactions(source: Source, reader: Reader, file: SourceFile) -> Iterator[pa.RecordBatch]:
    """Yield all lines of a file in their order, in the schema of ``raw_transactions``."""
    return Meaning(source, file.name).transactions(lines_of(reader, file))


def folded(ids: pa.Array, folding: Sequence[str]) -> pa.Array:
    """Return customer ids in one spelling; see ``source.customer_id_folding``."""
    if "casefold" not in folding and pc.all(pc.string_is_ascii(ids)).as_py() is not False:
        # Blanks around are the cleaning's, which knows them in ASCII.
        return ids
    encoded = ids.dictionary_encode()
    spelled = [fold(text, folding) for text in encoded.dictionary.to_pylist()]
    return pa.array(spelled, pa.string()).take(encoded.indices)


def fold(text: str, folding: Sequence[str]) -> str:
    """Return one customer id in the spelling that stands for all of it."""
    for form in ("NFC", "NFKC"):
        if form.lower() in folding:
            text = unicodedata.normalize(form, text)
    if "trim" in folding:
        text = _trimmed(text)
    return text.casefold() if "casefold" in folding else text


def _trimmed(text: str) -> str:
    while (shorter := text.strip().strip(_ZERO_WIDTH)) != text:
        text = shorter
    return text


def _raw(name: str, lines: Lines, found: Mapping[str, pa.Array | None]) -> pa.RecordBatch:
    count = len(lines.numbers)
    columns = {
        **found,
        "source_file": pa.repeat(pa.scalar(name, pa.string()), count),
        "source_line": lines.numbers,
        "source_text": lines.texts,
    }
    schema = RAW_TRANSACTIONS.arrow
    given = ((field.type, columns.get(field.name)) for field in schema)
    arrays = [pa.nulls(count, kind) if array is None else array for kind, array in given]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _without_empty(text: pa.Array) -> pa.Array:
    if pc.min(pc.binary_length(text)).as_py() == 0:
        return pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)
    return text


def _joined(texts: Sequence[pa.Array], between: str) -> pa.Array:
    """Join fields; null where all are. Arrow's own way to skip nulls drops the rows that have nothing else."""
    whole, *others = texts
    for text in others:
        whole = pc.coalesce(pc.binary_join_element_wise(whole, text, between), whole, text)
    return whole


def _is_one(texts: pa.Array, words: Sequence[str]) -> pa.Array:
    """Return whether each text is one of some words, in any letter case and with blanks around; false for null."""
    wanted = pa.array([word.strip().lower() for word in words], pa.string())
    return pc.is_in(pc.utf8_lower(pc.utf8_trim_whitespace(texts)), wanted).fill_null(False)


def _meets(texts: pa.Array, condition: Condition) -> pa.Array:
    met = pa.repeat(pa.scalar(True), len(texts))
    if condition.any_of:
        met = pc.and_(met, _is_one(texts, condition.any_of))
    if condition.none_of:
        met = pc.and_(met, pc.invert(_is_one(texts, condition.none_of)))
    if condition.empty is not None:
        blank = pc.or_(pc.is_null(texts), _is_one(texts, ("",)))
        met = pc.and_(met, blank if condition.empty else pc.invert(blank))
    return met
