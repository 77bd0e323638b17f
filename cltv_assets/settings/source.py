"""The section ``source``: where transactions come from, how to read them, and what a line means."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from functools import cached_property
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import ConfigDict, Field, WithJsonSchema, field_validator, model_validator

from cltv_assets.settings.section import SOME_TEXTS, Section, Text, Texts, require_zone
from cltv_assets.settings.timestamp_format import compile_format

#: Canonical names that a source may map its columns to.
CanonicalName = Literal[
    "transaction_id",
    "customer_id",
    "transacted_at",
    "quantity",
    "unit_price",
    "amount",
    "cost",
    "unit_cost",
    "margin",
    "currency",
    "status",
    "refund_amount",
    "refunded_at",
    "attributes",
]

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


class Condition(Section):
    """What a column must hold for a line to count. Letter case and blanks around do not matter."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    any_of: Texts = Field((), alias="is", description="The field is one of these.")
    none_of: Texts = Field((), alias="not", description="The field is none of these.")
    empty: bool | None = Field(None, description="`true`: the field is empty. `false`: it is not.")

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return value if isinstance(value, Mapping) else {"is": value}

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not (self.any_of or self.none_of) and self.empty is None:
            raise ValueError("a condition is a value, a list of values, {not: …} or {empty: true}")
        return self


#: Conditions by column; one may be written as a value or a list of values.
_Conditions = dict[Text, Annotated[Condition, WithJsonSchema({"anyOf": [*SOME_TEXTS["anyOf"], {"type": "object"}]})]]


class Sign(Section):
    """A column that marks lines as sales or as refunds, beside an amount without a sign."""

    column: Text = Field(description="The column's name.")
    refund: Texts = Field(min_length=1, description="What stands there for a refund (a credit); else it is a sale.")


class Source(Section):
    """Where transactions come from, how to read them, and what a line means."""

    kind: Literal["csv", "jsonl", "excel", "parquet", "sql", "delta", "iceberg", "cdnow"] = Field(
        "cdnow",
        description="The form of your files, `sql` for a database, `delta` or `iceberg` for a lake table; `cdnow` is "
        "the demo, which brings its own.",
    )
    path: str | None = Field(
        None,
        description="A file, a folder or a glob. `{month}` in it is replaced by the partition's `YYYY-MM`. "
        "Required except for `cdnow`. For `sql`: a database file of SQLite or DuckDB, if there is no `url_variable`.",
    )
    url_variable: str | None = Field(
        None,
        description="For `sql`: the name of the environment variable that holds the database's URL, such as "
        "`SHOP_DATABASE_URL`. `postgresql://`, `mysql://`, `mariadb://`, `redshift://`, `mssql://`, `snowflake://`, "
        "`bigquery://` and `databricks://` are known.",
    )
    table: Text | None = Field(
        None,
        description="For `sql`: the table or view, such as `orders` or `shop.orders`. For `iceberg`: namespace and "
        "table.",
    )
    catalog: dict[str, Text] = Field(
        default_factory=dict,
        description="For `iceberg`: properties of PyIceberg's catalogue, such as `{type: rest, uri: https://…}`, with "
        "its `name`. A value `env:NAME` stands in the environment variable NAME; credentials must.",
    )
    snapshot: int | None = Field(
        None, description="For `iceberg`: the snapshot's id; by default the current one each time it is listed."
    )
    key: Texts = Field(
        (),
        description="For tables: columns that put a month's rows in order, such as the primary key. By "
        "default they are ordered by all columns that are read.",
    )
    changed_at: Text | None = Field(
        None,
        description="For tables: the column of when a row was last changed. Without it a change is seen "
        "only by a month's number of rows and by the sums of its amounts.",
    )
    columns: dict[CanonicalName, Texts] = Field(
        default_factory=dict,
        description="Canonical name to the name of the source's column. `customer_id`, `transacted_at`, and `amount` "
        "or both `quantity` and `unit_price` are required (no amount with `amounts: none`). `customer_id` may be a "
        "list, of which the first that is filled counts; `transacted_at` too, whose fields are joined by a blank (date "
        "and time). `cost` (of the whole line), `unit_cost` (times `quantity`) or `margin` gives each customer a "
        "margin of their own in place of `gross_margin`. `attributes` lists columns such as country or channel, which "
        "are kept under their own names and by which value is told apart.",
    )
    latest_attributes: Texts = Field(
        (),
        description="Which of `columns.attributes` follow a customer's newest purchase, as a country of residence "
        "does. The others stay what they were at the first, as the channel that a customer came by.",
    )
    amounts: Literal["given", "none"] = Field(
        "given",
        description="`none`: the source has no amounts, as visits and uses of a loyalty card do not. Its lines are "
        "counted: purchases, P(alive) and segments are predicted, and money is null everywhere.",
    )
    paths: dict[str, str] = Field(
        default_factory=dict,
        description="For `query`: names of its tables, each with a file, a folder or a glob, in place of `path`.",
    )
    asset_key: Texts = Field(
        (),
        description="Dagster assets of yours, such as `dbt/orders`, that make the source's files: a dbt model, a "
        "dlt table, a Delta table. A list names several. A month waits until they are there. Not for `cdnow`.",
    )
    asset_partitions: Literal["none", "daily", "monthly"] = Field(
        "none", description="How the assets of `asset_key` are partitioned."
    )
    query: str | None = Field(
        None,
        min_length=1,
        description="For files: one SELECT in DuckDB's SQL, also on Spark, over the tables that `paths` names, whose "
        "columns are text. "
        "For `sql`, in place of `table`: a SELECT in the database's own SQL. Its rows are "
        "the lines, and `columns` names its columns: by default `transaction_id`, `customer_id`, "
        "`transacted_at` and `amount`.",
    )
    where: _Conditions = Field(
        default_factory=dict,
        description="Column to what it must hold for a line to count: `{event_type: purchase}`, "
        "`{Store: [1, 2]}`, `{Type: {not: [test, void]}}`, `{Cancelled at: {empty: true}}`. Lines that do not count "
        "are rejected as `not_counted`.",
    )
    count_status: Texts = Field(
        (),
        description="Values of `columns.status` that count, such as `[paid, refunded]`. Other lines are rejected as "
        "`not_counted`.",
    )
    fill_down: Texts = Field(
        (),
        description="Columns that an export fills on the first line of an order only: an empty field takes the value "
        "of the line before with the same `transaction_id`.",
    )
    amount_level: Literal["line", "order"] = Field(
        "line",
        description="`order`: the amount is that of the whole order and counts once for each `transaction_id`, whether "
        "it stands on the first line or on all.",
    )
    refund_level: Literal["line", "order"] | None = Field(
        None, description="The same for `columns.refund_amount`; by default as `amount_level`."
    )
    sign: Sign | None = Field(
        None, description="A debit or credit flag beside the amount: `{column: SH, refund: [H]}`."
    )
    scale: Decimal = Field(
        Decimal(1),
        gt=0,
        le=1,
        description="What 1 in a column of money is worth: `0.01` where amounts are in cents.",
    )
    delimiter: str = Field(
        ",",
        min_length=1,
        max_length=1,
        description="For CSV: the character between columns. A first line `sep=;` of a file counts before it.",
    )
    encoding: str = Field("utf-8", description="For CSV and JSON lines: the encoding of the text.")
    member: Text | None = Field(
        None,
        description="For zip archives: the name of the file inside, or a glob. By default every file with an ending of "
        "`kind` counts.",
    )
    sheet: Texts = Field(
        (),
        description="For Excel: the sheets to read. By default all that are not hidden, except those that have none of "
        "the columns.",
    )
    skip_rows: int = Field(
        0, ge=0, le=1000, description="For CSV and Excel: how many lines stand before the header, blank ones included."
    )
    header: bool = Field(
        True,
        description="For CSV and Excel: `false` where no line names the columns. Their names are their positions then, "
        "from 1: `columns: {customer_id: 2, …}`.",
    )
    ragged: Literal["reject", "pad"] = Field(
        "reject",
        description="For CSV: what becomes of a line with fewer or more fields than the header. `pad` fills a short "
        "one with empty fields, and drops surplus fields at the end if they are empty. Others are rejected as "
        "`malformed_line`.",
    )
    quoting: Literal["standard", "none"] = Field(
        "standard", description="For CSV: `none` where a quote is a character like any other, as in Amazon's reports."
    )
    escape: str | None = Field(
        None,
        min_length=1,
        max_length=1,
        description="For CSV: what makes a quote, a delimiter, a line break or itself an ordinary character; a "
        "backslash in MySQL's exports. Before any other character it is one itself, so `\\N` stays.",
    )
    decimal_separator: Literal[".", ","] = Field(".", description="What stands before the decimals of a number.")
    timestamp_format: Texts = Field(
        ("iso",),
        min_length=1,
        description="`iso`, a pattern such as `%d/%m/%Y %H:%M`, or a number: `epoch_s`, `epoch_ms`, `epoch_us`, "
        "`excel_serial`, `days_since 1980-01-01`. A list is tried in its order.",
    )
    time_zone: str | None = Field(
        None, description="IANA zone of times without an offset, if it is not the shop's `time_zone`."
    )
    customer_id_folding: tuple[Literal["trim", "nfc", "nfkc", "casefold"], ...] = Field(
        ("trim", "nfc"),
        description="Which spellings of an id are one customer: `trim` (blanks of any kind around it), `nfc` (composed "
        "and decomposed letters), `nfkc` (those, and wide digits and letters), `casefold` (upper and lower case, for "
        "e-mail addresses).",
    )
    missing_values: Texts = Field(
        (),
        description='Further words for a missing value, such as `[guest, "0"]`, in upper or lower case. Known are '
        "an empty field and what R, pandas, MySQL, PostgreSQL and spreadsheets write.",
    )
    not_needed: Texts = Field(
        (),
        description="Columns that look as if they mattered, such as a status, and do not: nobody is warned of them.",
    )
    cancellation_prefix: str | None = Field(
        None,
        min_length=1,
        description="Transactions whose id begins with it are refunds. Needs `columns.transaction_id`.",
    )
    duplicates: Literal["keep", "drop_exact", "drop_across_files"] = Field(
        "keep",
        description="`drop_exact` rejects a line that equals an earlier line of the same month. `drop_across_files` "
        "does so only where the earlier line is in another file: for exports that overlap, in which an order may "
        "have equal lines.",
    )
    zero_amounts: Literal["reject", "keep"] = Field(
        "reject", description="Whether a line of value zero is a purchase. The default is `keep` for `cdnow`."
    )
    late_months: int = Field(
        3,
        ge=0,
        description="With `{month}` in `path`: how many later deliveries to search for a month's late lines.",
    )

    version: int | None = Field(
        None, ge=0, description="For `delta`: the table's version; by default the newest one each time it is listed."
    )

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

    @field_validator("columns", mode="before")
    @classmethod
    def _none_yet(cls, columns: Any) -> Any:
        # A proposal may know no column, and what lacks is said all the same.
        return {} if columns is None else columns

    @field_validator("timestamp_format")
    @classmethod
    def _readable_formats(cls, formats: tuple[str, ...]) -> tuple[str, ...]:
        for fmt in formats:
            compile_format(fmt)
        return formats

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, encoding: str) -> str:
        try:
            codecs.lookup(encoding)
        except LookupError:
            raise ValueError(f"encoding '{encoding}' is not known; utf-8, utf-16 and cp1252 are usual ones") from None
        return encoding

    @field_validator("asset_key")
    @classmethod
    def _whole_keys(cls, keys: tuple[str, ...]) -> tuple[str, ...]:
        for key in keys:
            if any(not part or part != part.strip() for part in key.split("/")):
                raise ValueError(f"asset_key '{key}' is no key of an asset; write its parts with slashes: dbt/orders")
        if len(set(keys)) < len(keys):
            raise ValueError("asset_key names one asset twice")
        return keys

    @field_validator("delimiter")
    @classmethod
    def _separates(cls, delimiter: str) -> str:
        if delimiter in '"\r\n':
            raise ValueError("delimiter cannot be a quote or a line break")
        return delimiter

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, zone: str | None) -> str | None:
        require_zone("time_zone", zone)
        return zone

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.escape is not None and (self.escape in f'"\r\n{self.delimiter}' or not self.escape.isascii()):
            raise ValueError("escape cannot be a quote, a line break or the delimiter, and must be ASCII")
        for setting, kinds in _FORMS.items():
            if self.kind not in kinds and getattr(self, setting) != type(self).model_fields[setting].default:
                raise ValueError(f"{setting} is for kind {' and '.join(kinds)}, not for {self.kind}")
        if self.asset_partitions != "none" and not self.asset_key:
            raise ValueError("asset_partitions needs asset_key: the assets that are partitioned so")
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
                raise ValueError(f"catalog.{name} must not be in a file: put it into a variable and write env:NAME")
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
                raise ValueError(f"paths.{name}: {{month}} has no meaning with query; name all files")

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
        mapped = [name for there in self.mapping.values() for name in there]
        if len(set(mapped)) < len(mapped):
            raise ValueError("columns maps two names to one source column")
        if unknown := [name for name in self.fill_down if name not in self.wanted]:
            raise ValueError(f"fill_down names {unknown[0]}, which no other setting of the source uses")

    def _check_attributes(self) -> None:
        if len(set(self.attributes)) < len(self.attributes):
            raise ValueError("columns.attributes names one column twice")
        if "all" in self.attributes:
            raise ValueError("columns.attributes: 'all' stands for all customers; rename the column in the source")
        for name in self.attributes:
            if re.search(r'["\\]|[^\x20-\U0010ffff]', name):
                raise ValueError(f"columns.attributes: {name!r} has a quote, a backslash or a control character")
        if unknown := [name for name in self.latest_attributes if name not in self.attributes]:
            raise ValueError(f"latest_attributes names {unknown[0]}, which columns.attributes does not")

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
        other = self.model_copy()
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
