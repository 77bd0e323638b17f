"""Every setting, in one pydantic model of sections; ``file`` reads them from ``cltv.yaml`` and variables.

The descriptions are the text of docs/settings.md, which ``reference`` generates.
"""

from __future__ import annotations

import datetime as dt
import os
import re
from pathlib import Path
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    model_validator,
)

from cltv_assets.months import Month
from cltv_assets.settings.automation import Automation
from cltv_assets.settings.checks import CheckThresholds
from cltv_assets.settings.costs import AcquisitionCosts
from cltv_assets.settings.customers import Customers
from cltv_assets.settings.pipes import Pipes
from cltv_assets.settings.s3 import S3
from cltv_assets.settings.scores import Scores
from cltv_assets.settings.section import Section, refuse_credentials, require_zone
from cltv_assets.settings.source import Source, zone_of_source
from cltv_assets.settings.spark import Spark

#: Where the platform runs. ``cltv.<environment>.yaml`` beside ``cltv.yaml`` holds an environment's changes.
EnvironmentName = Literal["development", "test", "production"]

#: The months of the demo's data.
CDNOW_FIRST_MONTH, CDNOW_LAST_MONTH = "1997-01", "1998-06"


def _month_key(value: object) -> object:
    """Accept a month as YAML reads it: 2010-12 is text, but 2010-12-01 is a date."""
    if isinstance(value, dt.date):
        return f"{value:%Y-%m}"
    return value


def _valid_month(value: str) -> str:
    return Month.parse(value).key


MonthKey = Annotated[str, BeforeValidator(_month_key), AfterValidator(_valid_month)]


class Outliers(Section):
    """What to do with improbably large lines.

    The bound is computed within the month from its own purchase lines, so that a
    month's result never depends on later ones.
    """

    method: Literal["none", "quantile", "iqr"] = Field("none", description="How the bound is computed.")
    upper: float = Field(
        0.999, gt=0.5, lt=1.0, description="For `quantile`: the quantile of line amounts that is the bound."
    )
    iqr_factor: float = Field(3.0, gt=0, description="For `iqr`: the bound is `q75 + factor * (q75 - q25)`.")
    action: Literal["cap", "drop"] = Field(
        "cap", description="Whether a line above the bound is lowered to it, or rejected."
    )


class Segments(Section):
    """Value tiers by predicted value, as shares of customers from the top."""

    top: float = Field(0.05, gt=0, lt=1, description="Share of customers, from the top, in the tier `top`.")
    high: float = Field(0.20, gt=0, lt=1, description="Share of customers down to the end of the tier `high`.")
    middle: float = Field(
        0.50, gt=0, lt=1, description="Share of customers down to the end of the tier `middle`; the rest is `low`."
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.top < self.high < self.middle:
            raise ValueError("segments must grow: top < high < middle, each the share of customers down to that tier")
        return self


#: What `purchase_model` may name beside ``auto``: the keys of `models.purchase.registry.PURCHASE_MODELS`, and of
#: `models.choosing.candidates.REGULAR`.
PurchaseModelName = Literal["bg_nbd", "mbg_nbd", "pareto_nbd", "bg_cnbd_k", "mbg_cnbd_k", "nbd"]


class Settings(Section):
    """Every setting of the platform."""

    asset_prefix: str = Field(
        "",
        pattern=r"^([A-Za-z_][A-Za-z0-9_]*)?$",
        description="Put before every asset, job, sensor and resource, so that two graphs in one deployment do not "
        "collide. The default of a component is the name of its folder.",
    )
    environment: EnvironmentName = Field(
        "development",
        description="In `production` sensors and the schedule run from the start. In the others somebody starts them "
        "in the UI.",
    )
    automation: Automation = Field(default_factory=Automation)

    source: Source = Field(default_factory=lambda: Source.model_validate({}))
    acquisition_costs: AcquisitionCosts = Field(default_factory=lambda: AcquisitionCosts.model_validate({}))
    customers: Customers = Field(default_factory=Customers)
    refunds: Literal["net", "drop"] = Field(
        "net", description="`net`: refunds lower what their customer spent. `drop`: they are only set aside."
    )
    time_zone: str = Field("UTC", description="IANA zone that days and months are counted in.")
    currency: str = Field("USD", pattern=r"^[A-Z]{3}$", description="ISO 4217 code. A line in another is rejected.")
    start_month: MonthKey | None = Field(
        None, description="First month of your data, `YYYY-MM`. Required except for `cdnow`, which begins in 1997-01."
    )
    end_month: MonthKey | None = Field(
        None, description="Last month. Empty for every month that has closed, and for `cdnow` 1998-06."
    )
    horizons_months: tuple[Annotated[int, Field(ge=1, le=60)], ...] = Field(
        (3, 6, 12),
        description="Horizons of the predictions in months, rising, each 1 to 60. Changing them needs `cltv migrate`.",
    )
    annual_discount_rate: float = Field(0.10, ge=0, lt=10, description="Effective rate a year, compounded.")
    gross_margin: float = Field(1.0, gt=0, le=1, description="Share of spend that is margin.")
    purchase_model: Literal["auto", PurchaseModelName] = Field(
        "auto",
        description="`auto`: all models, weighted by rolling holdouts inside the month's history; else one of them. "
        "`bg_cnbd_k` and `mbg_cnbd_k` are `bg_nbd` and `mbg_nbd` for customers who buy more regularly than by chance; "
        "k is measured.",
    )
    seasonality: Literal["auto", "none", "monthly"] = Field(
        "auto", description="`auto`: `monthly` where rolling holdouts are better with it."
    )
    history_before_start: Literal["unknown", "none"] | None = Field(
        None,
        description="What there was before the data. `unknown`: where they show customers older than they are, these "
        "are predicted as such. `none`: every first purchase is real. Empty: predicted as with `none`, and a warning "
        "says what `unknown` would change.",
    )
    population: Literal["all", "repeat"] = Field(
        "all",
        description="Who gets a prediction: everybody, or the customers in `repeat_customers`. The purchase model is "
        "fitted on all either way.",
    )
    repeat_window_months: int = Field(12, ge=1, le=120, description="Trailing window of `repeat_customers`, in months.")
    outliers: Outliers = Field(default_factory=Outliers)
    segments: Segments = Field(default_factory=Segments)
    scores: Scores = Field(default_factory=Scores)
    checks: CheckThresholds = Field(default_factory=CheckThresholds)
    time_unit: Literal["day", "week"] = Field("day", description="Unit of recency, T and alpha.")
    lake_uri: str = Field("./lake", description="Folder of the tables, or `s3://bucket/prefix`.")
    s3: S3 = Field(default_factory=S3)
    engine: Literal["duckdb", "spark"] = Field("duckdb", description="What computes the tables.")
    spark: Spark = Field(default_factory=Spark)
    pipes: Pipes = Field(default_factory=Pipes)
    duckdb_memory_limit: str = Field(
        "2GB",
        pattern=r"^\d+(\.\d+)?\s*(MB|GB|MiB|GiB)$",
        description="DuckDB writes to disk what needs more memory than this.",
    )
    #: Folder that relative paths start from: that of cltv.yaml, or the current one.
    home: Path = Field(default_factory=Path.cwd)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        require_zone("time_zone", self.time_zone)
        for setting, address in self._addresses:
            refuse_credentials(setting, address)
        if "://" in self.lake_uri and not re.match(r"file://|s3://[^/]+(/|$)", self.lake_uri):
            raise ValueError(f"lake_uri '{self.lake_uri}' is neither a folder nor s3://bucket/prefix")
        if self.source.kind != "cdnow" and self.start_month is None:
            raise ValueError("start_month is needed: the first month of your data, as YYYY-MM")
        if self.source.counted and self.outliers.method != "none":
            raise ValueError("outliers.method looks at amounts, and source.amounts is none: take outliers out")
        attribute = self.acquisition_costs.attribute
        if attribute is not None and attribute not in self.attributes:
            raise ValueError(
                f"acquisition_costs.attribute '{attribute}' is none of source.columns.attributes and "
                "customers.attributes; add it there"
            )
        if twice := [name for name in self.customers.attributes if name in self.source.attributes]:
            raise ValueError(
                f"customers.attributes names '{twice[0]}', which source.columns.attributes has too: keep one of them"
            )
        if self.end_month is not None and self.end_month < self.first_month.key:
            raise ValueError("end_month is before start_month")
        if self.seasonality == "monthly" and self.purchase_model == "pareto_nbd":
            raise ValueError(
                "seasonality 'monthly' needs a model whose customers drop out at purchases: with pareto_nbd they drop "
                "out at any time; set purchase_model to bg_nbd, mbg_nbd or auto, or seasonality to none"
            )
        if self.seasonality == "monthly" and self.purchase_model in ("bg_cnbd_k", "mbg_cnbd_k"):
            raise ValueError(
                f"seasonality 'monthly' needs a model whose customers buy by chance, and {self.purchase_model} "
                "measures regular intervals in days; set purchase_model to bg_nbd, mbg_nbd or auto, or seasonality to "
                "none"
            )
        if not self.horizons_months or list(self.horizons_months) != sorted(set(self.horizons_months)):
            raise ValueError("horizons_months must be distinct and rising, for example [3, 6, 12]")
        return self

    @property
    def _addresses(self) -> list[tuple[str, str | None]]:
        """What runs, errors and the UI show as it stands."""
        source = self.source
        return [
            ("lake_uri", self.lake_uri),
            ("s3.endpoint_url", self.s3.endpoint_url),
            ("source.path", source.path),
            *((f"a path of source.paths ('{name}')", path) for name, path in source.paths.items()),
            ("customers.path", self.customers.path),
            ("acquisition_costs.path", self.acquisition_costs.path),
            ("spark.master", self.spark.master),
            ("spark.remote", self.spark.remote),
        ]

    @property
    def zone(self) -> ZoneInfo:
        """The time zone that days and months are counted in."""
        return ZoneInfo(self.time_zone)

    @property
    def source_zone(self) -> ZoneInfo:
        """The time zone of delivered times without an offset."""
        return zone_of_source(self.source, self.zone)

    @property
    def first_month(self) -> Month:
        """The first partition."""
        return Month.parse(self.start_month or CDNOW_FIRST_MONTH)

    @property
    def fixed_last_month(self) -> Month | None:
        """The last partition if the settings fix one, else ``None``, because each month adds one."""
        if self.end_month is None and self.source.kind == "cdnow":
            return Month.parse(CDNOW_LAST_MONTH)
        return Month.parse(self.end_month) if self.end_month else None

    def last_month(self, today: dt.date | None = None) -> Month:
        """Return the last closed month, never later than ``end_month``.

        Parameters
        ----------
        today : datetime.date, optional
            Defaults to the current day in the configured time zone.
        """
        today = today or dt.datetime.now(self.zone).date()
        closed = Month.of(today).shift(-1)
        fixed = self.fixed_last_month
        return closed if fixed is None else min(closed, fixed)

    @property
    def lake_root(self) -> str:
        """The lake's root: an absolute folder, or the URI as given."""
        if "://" in self.lake_uri:
            return self.lake_uri.rstrip("/")
        # Not resolve(): a link to a missing folder must be refused, not followed and created.
        return os.path.normpath(self.home.absolute() / Path(self.lake_uri).expanduser())

    @property
    def source_path(self) -> str:
        """The source's path, absolute if it is local."""
        return self.absolute(self.source.path or "")

    @property
    def attributes(self) -> tuple[str, ...]:
        """By what customers are told apart: the attributes of the transactions, then those of the customers' file."""
        return (*self.source.attributes, *self.customers.attributes)

    def absolute(self, path: str) -> str:
        """Return a path as seen from the settings' folder; an address stays."""
        if "://" in path:
            return path
        # Not resolve(): a path with a glob's stars is not a file.
        return os.path.normpath(self.home / Path(path).expanduser())
