"""The section ``source``: where transactions come from and how to read them."""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from cltv_assets.settings.timestamp_format import compile_format

#: Canonical names that a source may map its columns to.
CanonicalName = Literal[
    "transaction_id", "customer_id", "transacted_at", "quantity", "unit_price", "amount", "currency"
]


class Section(BaseModel):
    """A group of settings. An unknown key is an error, and nothing changes once it is read."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Source(Section):
    """Where transactions come from and how to read them."""

    kind: Literal["csv", "parquet", "cdnow"] = Field(
        "cdnow", description="The form of your files; `cdnow` is the demo, which brings its own."
    )
    path: str | None = Field(
        None,
        description="A file, a folder or a glob. `{month}` in it is replaced by the partition's `YYYY-MM`. "
        "Required except for `cdnow`.",
    )
    columns: dict[CanonicalName, str] = Field(
        default_factory=dict,
        description="Canonical name to the name of the source's column. `customer_id`, `transacted_at`, and `amount` "
        "or both `quantity` and `unit_price` are required; `transaction_id` and `currency` are optional.",
    )
    delimiter: str = Field(",", min_length=1, max_length=1, description="For CSV: the character between columns.")
    encoding: str = Field("utf-8", description="For CSV: the encoding of the text.")
    decimal_separator: Literal[".", ","] = Field(".", description="What stands before the decimals of a number.")
    timestamp_format: str = Field(
        "iso", description="`iso`, or a pattern of `%Y %y %m %d %H %M %S %f` such as `%d/%m/%Y %H:%M`."
    )
    cancellation_prefix: str | None = Field(
        None,
        min_length=1,
        description="Transactions whose id begins with it are refunds. Needs `columns.transaction_id`.",
    )
    duplicates: Literal["keep", "drop_exact"] = Field(
        "keep", description="`drop_exact` rejects a line that equals an earlier line of the same month."
    )
    zero_amounts: Literal["reject", "keep"] = Field(
        "reject", description="Whether a line of value zero is a purchase. The default is `keep` for `cdnow`."
    )
    late_months: int = Field(
        3,
        ge=0,
        description="With `{month}` in `path`: how many later deliveries to search for a month's late lines.",
    )

    @model_validator(mode="before")
    @classmethod
    def _demo_keeps_free_orders(cls, values: Any) -> Any:
        # The published CDNOW figures count its 80 orders of value zero.
        if isinstance(values, Mapping) and values.get("kind", "cdnow") == "cdnow":
            return {"zero_amounts": "keep", **values}
        return values

    @model_validator(mode="after")
    def _complete(self) -> Self:
        try:
            compile_format(self.timestamp_format)
        except ValueError as error:
            raise ValueError(f"timestamp_format: {error}") from None
        try:
            codecs.lookup(self.encoding)
        except LookupError:
            raise ValueError(
                f"encoding '{self.encoding}' is not known; utf-8, utf-16 and cp1252 are usual ones"
            ) from None
        if self.delimiter in '"\r\n':
            raise ValueError("delimiter cannot be a quote or a line break")
        if self.kind == "cdnow":
            if self.path is not None or self.columns or self.timestamp_format != "iso":
                raise ValueError(
                    "kind 'cdnow' brings its own path and columns; set kind to csv or parquet to read your own data"
                )
            return self
        if not self.path:
            raise ValueError(f"kind '{self.kind}' needs path: a file, a folder or a glob")
        missing = [name for name in ("customer_id", "transacted_at") if name not in self.columns]
        if missing:
            raise ValueError(f"columns lacks {' and '.join(missing)}: name the source's column for each")
        priced = {"quantity", "unit_price"} <= set(self.columns)
        if "amount" in self.columns and "unit_price" in self.columns:
            raise ValueError("columns names both amount and unit_price: keep one of them")
        if not priced and "amount" not in self.columns:
            raise ValueError("columns needs amount, or both quantity and unit_price")
        if self.cancellation_prefix is not None and "transaction_id" not in self.columns:
            raise ValueError("cancellation_prefix needs columns.transaction_id")
        if len(set(self.columns.values())) < len(self.columns):
            raise ValueError("columns maps two names to one source column")
        return self
