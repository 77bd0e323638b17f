"""The settings of ``spark``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from pydantic import Field, field_validator, model_validator

from cltv_assets.settings.section import Section


class Spark(Section):
    """How ``engine: spark`` reaches Spark."""

    master: str | None = Field(
        None,
        description="`local[*]`, `spark://host:7077`, `yarn` or `k8s://…`. `local[*]` if neither this nor `remote` is "
        "given.",
    )
    remote: str | None = Field(
        None,
        pattern=r"^sc://",
        description="A Spark Connect server, `sc://host:15002`, instead of `master`. It reaches S3 with jars and "
        "credentials of its own.",
    )
    conf: dict[str, str] = Field(
        default_factory=dict, description="Any setting of Spark. One that would change the numbers is refused."
    )
    jars: str | None = Field(
        None,
        description="Folder with the jars for S3, made by `cltv jars --into`. Without it Spark fetches them when it "
        "starts.",
    )

    @field_validator("conf", mode="before")
    @classmethod
    def _as_text(cls, values: Any) -> Any:
        # YAML reads true as a Boolean and 4 as a number; Spark takes text.
        if not isinstance(values, Mapping):
            return values
        return {key: str(value).lower() if isinstance(value, bool) else str(value) for key, value in values.items()}

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.master and self.remote:
            raise ValueError("spark names both master and remote: keep one of them")
        return self
