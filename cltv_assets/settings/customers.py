"""The section ``customers``: what is known of customers beside their transactions."""

from __future__ import annotations

import re
from typing import Self

from pydantic import Field, model_validator

from cltv_assets.settings.section import Section, Text, Texts

#: Endings of the files that can be read.
_FORMS = re.compile(r"\.(csv(\.(gz|bz2|zst))?|parquet)$", re.IGNORECASE)


class Customers(Section):
    """What is known of customers beside their transactions: a file with a line for each."""

    path: str | None = Field(
        None, description="A CSV file with a header, or a Parquet file, local or `s3://`; a line for each customer."
    )
    id: Text = Field("customer_id", description="Its column of the id that the transactions have.")
    attributes: Texts = Field(
        (),
        description="Its columns by which customers are told apart, such as `[country, channel]`, beside "
        "`source.columns.attributes`. They count as they stand in the file when a month is made.",
    )
    delimiter: str = Field(",", min_length=1, max_length=1, description="For CSV: the character between columns.")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.path is None:
            if self.attributes:
                raise ValueError("customers.attributes needs customers.path: the file with a line for each customer")
            return self
        if not _FORMS.search(self.path):
            raise ValueError(f"customers.path '{self.path}' is neither a CSV file (.csv, packed or not) nor .parquet")
        if not self.attributes:
            raise ValueError("customers.path needs customers.attributes: the columns to take from it")
        if twice := [name for name in self.attributes if self.attributes.count(name) > 1 or name == self.id]:
            raise ValueError(f"customers names the column '{twice[0]}' twice")
        if "all" in self.attributes:
            raise ValueError("customers.attributes: 'all' stands for all customers; rename the column in the file")
        return self
