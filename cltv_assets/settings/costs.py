"""The section ``acquisition_costs``: what was spent to win new customers."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from cltv_assets.settings.section import Section, Text

#: What a column of the file may mean.
CostColumn = Literal["month", "spend", "value", "new_customers"]


def _plain() -> dict[CostColumn, str]:
    return {"month": "month", "spend": "spend"}


class AcquisitionCosts(Section):
    """What was spent to win new customers, by month and, where an attribute is named, by its values."""

    path: str | None = Field(
        None, description="A CSV file with a header, local or `s3://`: a line a month, or a day, and value."
    )
    columns: dict[CostColumn, Text] = Field(
        default_factory=_plain,
        description="Names of the file's columns: `month` (`2024-03` or `2024-03-31`), `spend` in the shop's currency, "
        "with `attribute` also `value`, and, if there, `new_customers` as the advertiser counts them.",
    )
    attribute: Text | None = Field(
        None,
        description="Which of `source.columns.attributes` the column `value` holds values of, such as `channel`.",
    )
    delimiter: str = Field(",", min_length=1, max_length=1, description="The character between columns.")
    decimal_separator: Literal[".", ","] = Field(".", description="What stands before the decimals of a number.")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.path is None:
            if self.attribute is not None or self.columns != _plain():
                raise ValueError("acquisition_costs needs path: the file with what was spent")
            return self
        if missing := [name for name in ("month", "spend") if name not in self.columns]:
            raise ValueError(f"acquisition_costs.columns lacks {missing[0]}: name the file's column")
        if ("value" in self.columns) != (self.attribute is not None):
            raise ValueError("acquisition_costs.attribute and columns.value go together: the values of which attribute")
        return self
