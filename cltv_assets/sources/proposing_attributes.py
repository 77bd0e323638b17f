"""Finds columns of files that nobody has described yet which tell customers apart, such as country or channel."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import yaml

from cltv_assets.settings.source import TABLE_KINDS
from cltv_assets.sources.proposing import formats_together
from cltv_assets.sources.sampling import Sample
from cltv_assets.sources.unused import without_accents

#: Words of names that say where customers are, how they came, or who they are.
TELLING = re.compile(
    r"countr|land\b|\bpays\b|\bpais\b|paese|nation|region|province|bundesland|provinc|channel|kanal|\bcanal|"
    r"\bsource\b|medium|campaign|kampagne|referr|affiliate|gender|geschlecht|\bsexe?\b|genero|\bstores?\b|\bshop\b|"
    r"filiale|branch|tienda|\bloja|negozio|market|device|platform",
    re.I,
)
#: Values of an attribute: with fewer nothing is compared, with more hardly anything.
_FEW, _MANY = 2, 50
#: Columns that a note names.
_SHOWN = 6
#: Customers with several lines of whom nearly all must have one value, where the name says nothing.
_SEVERAL, _CONSTANT = 20, 0.95


def lines_of_others(sample: Sample, mapped: Sequence[str], customer: str) -> tuple[list[str], list[str]]:
    """Return what a proposal says of columns that it maps to nothing: below ``columns``, and below ``source``.

    Parameters
    ----------
    sample : Sample
        The lines.
    mapped : sequence of str
        The columns that have a meaning.
    customer : str
        That of the customer; empty if it is not known.
    """
    others = [name for name in sample.names if name not in mapped]
    counts = dict(_telling(sample, others, customer))
    attributes, kept = [], []
    if counts:
        note = ", ".join(f"{name} has {count} values" for name, count in counts.items())
        attributes.append(f"    # attributes: {in_flow(list(counts))}  # ? to compare customers by: {note}")
    if others and sample.kind not in TABLE_KINDS:
        more = f" and {len(others) - _SHOWN} more" if len(others) > _SHOWN else ""
        note = f"{', '.join(others[:_SHOWN])}{more} are kept as text; false, or a list, if some are personal data"
        kept.append(f"  # keep_other_columns: false  # ? {note}")
    return attributes, kept


def in_flow(value: Any) -> str:
    """Return a value as it stands on one line of YAML."""
    text = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=10_000)
    return text.removesuffix("...\n").strip()


def _telling(sample: Sample, names: Sequence[str], customer: str) -> Iterator[tuple[str, int]]:
    """Yield the columns with few texts that have a telling name, or one text on nearly all lines of a customer."""
    for name in names:
        values = set(sample.values(name))
        if not _FEW <= len(values) <= _MANY:
            continue
        # Numbers and times are amounts, ids or dates.
        if all(re.search(r"\d", text) for text in values) or formats_together(sorted(values)):
            continue
        spelled = without_accents(re.sub(r"(?<=[a-z])(?=[A-Z])|_", " ", name))
        if TELLING.search(spelled) or _is_constant(sample, customer, name):
            yield name, len(values)


def _is_constant(sample: Sample, customer: str, name: str) -> bool:
    lines: dict[str, list[str]] = defaultdict(list)
    for row in sample.rows:
        if (who := row.get(customer, "").strip()) and (text := row.get(name, "").strip()):
            lines[who].append(text)
    several = [texts for texts in lines.values() if len(texts) > 1]
    same = sum(len(set(texts)) == 1 for texts in several)
    return len(several) >= _SEVERAL and same >= _CONSTANT * len(several)
