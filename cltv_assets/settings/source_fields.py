"""The settings of the section ``source``, each with what it may be by itself."""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Literal, Self

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


class SourceFields(Section):
    """Where transactions come from, how to read them, and what a line means: one by one."""

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
    keep_other_columns: bool | Texts | None = Field(
        None,
        description="Whether columns that `raw_transactions` has no column for are kept there as text, in its column "
        "`other_columns`, personal data among them. A list names those that are kept. By default all, except for "
        "tables (`sql`, `delta`, `iceberg`), which can be asked again.",
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
    asset_time_zone: str | None = Field(
        None,
        description="Time zone of these partitions. If it is `time_zone`, the UI pairs each month with its own days or "
        "months; else it pairs a month with all, because Dagster refuses to pair different zones.",
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
