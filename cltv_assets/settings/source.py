"""The section ``source``: where transactions come from, how to read them, and what a line means.

Each setting is declared in ``source_fields``. Here is which go together, and what follows from them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any, Self
from zoneinfo import ZoneInfo

from pydantic import model_validator

from cltv_assets.settings.section import require_zone
from cltv_assets.settings.source_fields import SourceFields

#: Settings of the form of files, and the kinds that know them.
_FORMS: dict[str, tuple[str, ...]] = {
    "member": ("csv", "jsonl"),
    "sheet": ("excel",),
    **dict.fromkeys(("skip_rows", "header"), ("csv", "excel")),
    **dict.fromkeys(("ragged", "quoting", "escape"), ("csv",)),
}

#: Names that may be mapped to several columns: the first that is filled, all of them joined by a blank, or each.
_SEVERAL = ("customer_id", "transacted_at", "attributes")

#: Names of which one may be mapped: it says what a line's margin is.
_MARGINS = ("cost", "unit_cost", "margin")

#: Names that speak of money, which a source without amounts does not have.
_OF_MONEY = ("amount", "quantity", "unit_price", *_MARGINS, "currency", "refund_amount", "refunded_at")

#: Asks for columns that are only looked at: what is no text in them is left out, and no error.
LOOKED_AT = "nothing"
#: What a query's columns are called, unless ``columns`` says otherwise.
_OF_QUERY = ("transaction_id", "customer_id", "transacted_at", "amount")
#: Kinds whose units are months of a table, not files.
TABLE_KINDS = ("sql", "delta", "iceberg")
#: The demo's columns in the file's order. ``dollar_value`` is the value of the whole line, not the price of one disc.
_CDNOW_COLUMNS = {
    "customer_id": ("customer_id",),
    "transacted_at": ("date",),
    "quantity": ("number_of_cds",),
    "amount": ("dollar_value",),
}

#: What R, pandas, MySQL, PostgreSQL and spreadsheets write for a missing value, in lower case.
MISSING_WORDS = (
    "na", "n/a", "#n/a", "#na", "<na>", "nan", "-nan", "nat", "null", "(null)", "<null>", "none", "nil", r"\n",
    "#null!", "#value!", "#ref!", "(blank)", "(none)", "(not set)",
)  # fmt: skip


class Source(SourceFields):
    """Where transactions come from, how to read them, and what a line means."""

    @model_validator(mode="before")
    @classmethod
    def _demo_keeps_free_orders(cls, values: Any) -> Any:
        # The published CDNOW figures count its 80 orders of value zero.
        if isinstance(values, Mapping) and values.get("kind", "cdnow") == "cdnow":
            return {"zero_amounts": "keep", **values}
        if isinstance(values, Mapping) and values.get("query") and not values.get("columns"):
            counted = values.get("amounts") == "none"
            return {**values, "columns": {name: name for name in _OF_QUERY if not counted or name not in _OF_MONEY}}
        return values

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.escape is not None and (self.escape in f'"\r\n{self.delimiter}' or not self.escape.isascii()):
            raise ValueError("escape cannot be a quote, a line break or the delimiter, and must be ASCII")
        for setting, kinds in _FORMS.items():
            if self.kind not in kinds and getattr(self, setting) != type(self).model_fields[setting].default:
                raise ValueError(f"{setting} is for kind {' and '.join(kinds)}, not for {self.kind}")
        if self.asset_partitions != "none" and not self.asset_key:
            raise ValueError("asset_partitions needs asset_key: the assets that are partitioned so")
        if self.asset_time_zone is not None:
            require_zone("asset_time_zone", self.asset_time_zone)
            if self.asset_partitions == "none":
                raise ValueError("asset_time_zone is that of partitions: set asset_partitions to daily or monthly")
        if self.kind == "cdnow":
            if self.counted:
                raise ValueError("amounts: none is not for kind 'cdnow', which has amounts; take amounts out")
            if self.asset_key:
                raise ValueError("asset_key is not for kind 'cdnow', whose file no asset makes; take asset_key out")
            if self.path is not None or self.columns or self.timestamp_format != ("iso",):
                raise ValueError("kind 'cdnow' brings its own path and columns; set another kind to read your own data")
            return self
        self._check_database()
        self._check_query()
        if not self.path and not self.query and self.kind not in ("sql", "iceberg"):
            raise ValueError(f"kind '{self.kind}' needs path: a file, a folder or a glob")
        self._check_columns()
        return self

    def _check_database(self) -> None:
        table = self.kind in TABLE_KINDS
        for name, kinds in (
            ("url_variable", ("sql",)), ("table", ("sql", "iceberg")), ("version", ("delta",)),
            ("catalog", ("iceberg",)), ("snapshot", ("iceberg",)), ("key", TABLE_KINDS), ("changed_at", TABLE_KINDS),
        ):  # fmt: skip
            if self.kind not in kinds and getattr(self, name) not in (None, (), {}):
                raise ValueError(f"{name} is for kind {' or '.join(kinds)}; remove it, or correct kind")
        if table and len(self.columns.get("transacted_at", ())) > 1:
            raise ValueError("columns.transacted_at takes one column of a table; join date and time in query or a view")
        if table and self.fill_down:
            raise ValueError("fill_down is for files, because rows of a table have no order; fill them in query")
        if table and "{month}" in (self.path or ""):
            raise ValueError("path takes no {month} for a table, whose months are told apart by their rows' times")
        if self.kind == "iceberg" and (self.path or not self.table):
            raise ValueError("kind iceberg needs table, namespace and name, and takes no path: the catalogue knows it")
        for name, text in self.catalog.items():
            secret = re.search(r"secret|password|token|credential|access-key", name) or re.search(
                r"://[^/@]*:[^/@]*@", text
            )
            if secret and not text.startswith("env:"):
                raise ValueError(f"catalog: '{name}' must not be in a file: put it into a variable and write env:NAME")
        if self.kind != "sql":
            return
        # The value is in no message, because it may be a URL with a password.
        if self.url_variable is not None and not re.fullmatch(r"[A-Za-z_]\w*", self.url_variable):
            raise ValueError(
                "url_variable takes the name of an environment variable; put the URL there, not into this file"
            )
        if "://" in (self.path or ""):
            raise ValueError("path takes a database file; put a URL into an environment variable, see url_variable")
        if bool(self.path) == bool(self.url_variable):
            raise ValueError("kind sql needs url_variable, or path for a database file")
        if bool(self.table) == bool(self.query):
            raise ValueError("kind sql needs either table or query")

    def _check_query(self) -> None:
        if self.kind == "sql":
            if self.paths:
                raise ValueError("paths is for queries over files; a database's query names its own tables")
            return
        if self.kind in ("delta", "iceberg") and self.query:
            raise ValueError("query is for files and databases; for a lake table name its columns")
        if bool(self.query) != bool(self.paths):
            raise ValueError("query and paths go together: the SELECT, and the files that its tables are")
        if self.query and self.path:
            raise ValueError("with query, name the files in paths instead of path")
        for name in self.paths:
            if not name.isidentifier():
                raise ValueError(f"paths: '{name}' cannot be a table's name; use letters, digits and underscores")
            if "{month}" in self.paths[name]:
                raise ValueError(f"paths: {{month}} in '{name}' has no meaning with query; name all files")

    def _check_columns(self) -> None:
        missing = [name for name in ("customer_id", "transacted_at") if name not in self.columns]
        if missing:
            raise ValueError(f"columns lacks {' and '.join(missing)}: name the source's column for each")
        priced = {"quantity", "unit_price"} <= set(self.columns)
        if "amount" in self.columns and "unit_price" in self.columns:
            raise ValueError("columns names both amount and unit_price: keep one of them")
        if len(both := [name for name in _MARGINS if name in self.columns]) > 1:
            raise ValueError(f"columns names {' and '.join(both)}: keep one of them, because each gives the margin")
        if self.counted:
            self._check_counted()
        elif not priced and "amount" not in self.columns:
            raise ValueError(
                "columns needs amount, or both quantity and unit_price; if the source has no amounts, as a log of "
                "visits, set source.amounts: none, and purchases are predicted without money"
            )
        for name, there in self.columns.items():
            if len(there) != 1 and (name not in _SEVERAL or not there):
                raise ValueError(f"columns.{name} takes one column; only {' and '.join(_SEVERAL)} may be lists")
        for setting, on, needs in (
            ("cancellation_prefix", self.cancellation_prefix is not None, "transaction_id"),
            ("amount_level: order", self.amount_level == "order", "transaction_id"),
            ("refund_level: order", self.refund_level == "order", "transaction_id"),
            ("fill_down", bool(self.fill_down), "transaction_id"),
            ("count_status", bool(self.count_status), "status"),
            ("columns.refunded_at", "refunded_at" in self.columns, "refund_amount"),
            ("columns.unit_cost", "unit_cost" in self.columns, "quantity"),
            ("latest_attributes", bool(self.latest_attributes), "attributes"),
        ):
            if on and needs not in self.columns:
                raise ValueError(f"{setting} needs columns.{needs}")
        if "status" in self.columns and not self.count_status:
            raise ValueError("columns.status needs count_status: the values that count, such as [paid]")
        if priced and self.amount_level == "order":
            raise ValueError("amount_level: order needs columns.amount, the order's total")
        self._check_attributes()
        kept = self.keep_other_columns
        if twice := [name for name in kept if name in self._stored] if isinstance(kept, tuple) else []:
            raise ValueError(f"keep_other_columns names '{twice[0]}', which columns keeps already")
        mapped = [name for there in self.mapping.values() for name in there]
        if len(set(mapped)) < len(mapped):
            raise ValueError("columns maps two names to one source column")
        if unknown := [name for name in self.fill_down if name not in self.wanted]:
            raise ValueError(f"fill_down names '{unknown[0]}', which no other setting of the source uses")

    def _check_attributes(self) -> None:
        if len(set(self.attributes)) < len(self.attributes):
            raise ValueError("columns.attributes names one column twice")
        if "all" in self.attributes:
            raise ValueError("columns.attributes: 'all' stands for all customers; rename the column in the source")
        for name in self.attributes:
            if re.search(r'["\\]|[^\x20-\U0010ffff]', name):
                raise ValueError(f"columns.attributes: {name!r} has a quote, a backslash or a control character")
        if unknown := [name for name in self.latest_attributes if name not in self.attributes]:
            raise ValueError(f"latest_attributes names '{unknown[0]}', which columns.attributes does not")

    def _check_counted(self) -> None:
        asked = [f"columns.{name}" for name in _OF_MONEY if name in self.columns]
        asked += [
            name
            for name in ("amount_level", "refund_level", "sign", "scale", "cancellation_prefix")
            if getattr(self, name) != type(self).model_fields[name].default
        ]
        if asked:
            raise ValueError(
                f"amounts: none and {asked[0]} exclude each other: without amounts there are no refunds and no money. "
                f"Take {asked[0]} out, and leave lines that are no purchases out by where; or set amounts: given"
            )

    @property
    def counted(self) -> bool:
        """Whether lines are only counted, because the source has no amounts."""
        return self.amounts == "none"

    @property
    def gives_back(self) -> bool:
        """Whether a column says what was given back."""
        return "refund_amount" in self.columns or self.sign is not None

    @property
    def margin_column(self) -> str | None:
        """The canonical name of what a line's margin follows from; None where only ``gross_margin`` says it."""
        return next((name for name in _MARGINS if name in self.columns), None)

    @property
    def order_refunds(self) -> bool:
        """Whether a refund beside the sale counts once for each order."""
        return (self.refund_level or self.amount_level) == "order" and "transaction_id" in self.columns

    @property
    def mapping(self) -> Mapping[str, tuple[str, ...]]:
        """The source's columns by canonical name, without attributes."""
        if self.kind == "cdnow":
            return _CDNOW_COLUMNS
        return {str(name): there for name, there in self.columns.items() if name != "attributes"}

    @property
    def attributes(self) -> tuple[str, ...]:
        """The source's columns that are kept under their own names."""
        return self.columns.get("attributes", ())

    @cached_property
    def _stored(self) -> frozenset[str]:
        """The source's columns that ``raw_transactions`` has columns for."""
        mapped = (there for name, there in self.mapping.items() if name != "status")
        return frozenset(name.strip() for there in (*mapped, self.attributes) for name in there)

    def keeps(self, name: str) -> bool:
        """Return whether a column of the source is kept as text beside those that have a column of their own."""
        kept = self.keep_other_columns
        if name.strip() in self._stored or kept is False:
            return False
        if isinstance(kept, tuple):
            return name.strip() in kept
        return kept is True or self.kind not in TABLE_KINDS

    @cached_property
    def missing_words(self) -> tuple[str, ...]:
        """What stands for a missing value, trimmed and in lower case."""
        return (*MISSING_WORDS, *(word.strip().lower() for word in self.missing_values))

    @cached_property
    def wanted(self) -> dict[str, str]:
        """The source's columns that the settings use, each with the first setting that asks for it."""
        found: dict[str, str] = {}
        for name, setting in self._used():
            found.setdefault(name, setting)
        return found

    def wanting(self, names: Iterable[str], setting: str = "the header") -> Source:
        """Return the same settings for a reader that reads other columns, which ``setting`` asks for."""
        other = self.model_copy(update={"keep_other_columns": False})
        other.__dict__["wanted"] = dict.fromkeys(names, setting)
        return other

    def _used(self) -> Iterator[tuple[str, str]]:
        for canonical, there in self.mapping.items():
            yield from ((name, f"source.columns.{canonical}") for name in there)
        yield from ((name, "source.columns.attributes") for name in self.attributes)
        yield from ((name, "source.where") for name in self.where)
        if self.sign is not None:
            yield self.sign.column, "source.sign"


def zone_of_source(source: Source, shop: ZoneInfo) -> ZoneInfo:
    """Return the zone of delivered times without an offset."""
    return ZoneInfo(source.time_zone) if source.time_zone else shop
