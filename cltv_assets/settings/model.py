"""Every setting, in one pydantic model. ``file`` reads it from ``cltv.yaml`` and variables."""

from __future__ import annotations

import codecs
import datetime as dt
import difflib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo, available_timezones

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from cltv_assets.months import Month
from cltv_assets.settings.pipes import Pipes
from cltv_assets.settings.timestamp_format import compile_format

#: Canonical names that a source may map its columns to.
CanonicalName = Literal[
    "transaction_id", "customer_id", "transacted_at", "quantity", "unit_price", "amount", "currency"
]

#: Where it runs. What each changes of ``cltv.yaml`` may stand in ``cltv.<environment>.yaml`` beside it.
EnvironmentName = Literal["development", "test", "production"]

#: What the demo needs that a source of one's own does not.
CDNOW_FIRST_MONTH, CDNOW_LAST_MONTH = "1997-01", "1998-06"


def _month_key(value: object) -> object:
    """Take YAML's own reading of a month: 2010-12 is text, 2010-12-01 a date."""
    if isinstance(value, dt.date):
        return f"{value:%Y-%m}"
    return value


def _valid_month(value: str) -> str:
    return Month.parse(value).key


MonthKey = Annotated[str, BeforeValidator(_month_key), AfterValidator(_valid_month)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Source(_Section):
    """Where transactions come from and how to read them."""

    kind: Literal["csv", "parquet", "cdnow"] = "cdnow"
    path: str | None = Field(
        None, description="A file, a folder or a glob. {month} in it is replaced by the partition's YYYY-MM."
    )
    columns: dict[CanonicalName, str] = Field(
        default_factory=dict, description="Canonical name to the source's column name."
    )
    delimiter: str = Field(",", min_length=1, max_length=1)
    encoding: str = "utf-8"
    decimal_separator: Literal[".", ","] = "."
    timestamp_format: str = Field(
        "iso", description="'iso', or a strptime pattern of %Y %m %d %H %M %S such as '%d/%m/%Y %H:%M'."
    )
    cancellation_prefix: str | None = Field(
        None, min_length=1, description="Transactions whose id begins with it are refunds."
    )
    duplicates: Literal["keep", "drop_exact"] = "keep"
    zero_amounts: Literal["reject", "keep"] = Field("reject", description="Whether a line of value zero is a purchase.")
    late_months: int = Field(
        3, ge=0, description="With {month} in path: how many later deliveries to search for a month's late lines."
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


class Outliers(_Section):
    """What to do with improbably large lines.

    The bound is computed within the month from its own purchase lines, so that a
    month's result never depends on later ones.
    """

    method: Literal["none", "quantile", "iqr"] = "none"
    upper: float = Field(0.999, gt=0.5, lt=1.0, description="Quantile of line amounts that is the bound.")
    iqr_factor: float = Field(3.0, gt=0, description="For iqr: the bound is q75 + factor * (q75 - q25).")
    action: Literal["cap", "drop"] = "cap"


class Segments(_Section):
    """Value tiers by predicted value, as shares of customers from the top."""

    top: float = Field(0.05, gt=0, lt=1)
    high: float = Field(0.20, gt=0, lt=1)
    middle: float = Field(0.50, gt=0, lt=1)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not self.top < self.high < self.middle:
            raise ValueError("segments must grow: top < high < middle, each the share of customers down to that tier")
        return self


class Spark(_Section):
    """How ``engine: spark`` reaches Spark."""

    master: str | None = Field(
        None, description="local[*], spark://host:7077, yarn or k8s://…; local[*] if neither it nor remote is given."
    )
    remote: str | None = Field(None, pattern=r"^sc://", description="A Spark Connect server: sc://host:15002.")
    conf: dict[str, str] = Field(default_factory=dict, description="Any Spark setting, passed through as it is.")
    jars: str | None = Field(
        None, description="A folder made by `cltv jars --into`; without one Spark fetches its S3 jars itself."
    )

    @field_validator("conf", mode="before")
    @classmethod
    def _as_text(cls, values: Any) -> Any:
        # YAML reads true and 4 as what they look like; Spark takes text.
        if not isinstance(values, Mapping):
            return values
        return {key: str(value).lower() if isinstance(value, bool) else str(value) for key, value in values.items()}

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.master and self.remote:
            raise ValueError("spark names both master and remote: keep one of them")
        return self


class S3(_Section):
    """How s3:// addresses are reached.

    Credentials come from AWS's own chain (variables, profile, instance role) or from
    variables named here; their values never stand in a file.
    """

    endpoint_url: str | None = Field(
        None, pattern=r"^https?://[^/]+/?$", description="Of a store other than Amazon's, as http://host:9000."
    )
    region: str | None = None
    profile: str | None = Field(None, description="A profile of the AWS configuration files.")
    access_key_id_variable: str | None = Field(None, description="Environment variable that holds the key's id.")
    secret_access_key_variable: str | None = Field(None, description="Environment variable that holds the secret.")
    session_token_variable: str | None = Field(None, description="Environment variable that holds a session token.")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (self.access_key_id_variable is None) != (self.secret_access_key_variable is None):
            raise ValueError("s3 needs access_key_id_variable and secret_access_key_variable together")
        if self.profile and self.access_key_id_variable:
            raise ValueError("s3 names both a profile and variables for the key: keep one of them")
        return self


#: What `purchase_model` may name beside ``auto``: the keys of `models.purchase.registry.PURCHASE_MODELS`.
PurchaseModelName = Literal["bg_nbd", "mbg_nbd", "pareto_nbd", "nbd"]


class CheckThresholds(_Section):
    """When a check speaks up. What is wrong blocks regardless; these are for the odd."""

    volume_change: float = Field(0.5, gt=0, description="Warn when a month's rows differ from the recent mean by more.")
    reject_share: float = Field(0.5, gt=0, le=1, description="Block when more than this share of lines is rejected.")
    reject_share_change: float = Field(0.1, gt=0, le=1, description="Warn when the share moves by more than this.")
    silent_days: int = Field(
        10, ge=1, description="Warn when a month begins or ends with more days without any purchase, and not by chance."
    )
    frequency_value_correlation: float = Field(0.3, gt=0, le=1, description="Warn above this absolute correlation.")
    parameter_drift_se: float = Field(4.0, gt=0, description="Warn when a parameter moves by more standard errors.")
    distribution_drift: float = Field(
        0.25, gt=0, description="Warn when a distribution's population stability index against last month is larger."
    )
    month_ahead_error: float = Field(
        0.3, gt=0, description="Warn when last month's model misses this month's purchases by a larger share."
    )
    prediction_drift: float = Field(0.5, gt=0, description="Warn when the mean prediction moves by a larger share.")
    holdout_bias: float = Field(0.5, gt=0, description="Warn above this absolute relative bias of the total.")


#: ``36h``: a number and one of these.
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def _duration(value: object) -> object:
    """Read ``36h``, ``2d`` or ``90s``; what is none of these is left to pydantic."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smhdw])\s*", value) if isinstance(value, str) else None
    return dt.timedelta(**{_UNITS[found[2]]: float(found[1])}) if found else value


def _not_negative(value: dt.timedelta) -> dt.timedelta:
    if value < dt.timedelta(0):
        raise ValueError("a duration cannot be negative")
    return value


Duration = Annotated[dt.timedelta, BeforeValidator(_duration), AfterValidator(_not_negative)]


class Automation(_Section):
    """How months come to be made without anybody."""

    trigger: Literal["due", "cron"] = Field(
        "due", description="due: each month when it is due, and what later changes touch. cron: the monthly schedule."
    )
    due: dict[str, Duration] = Field(
        default_factory=dict,
        description="Asset to how long after the month closes it is due, as 36h or 2d; an asset is never due "
        "before what it is made from.",
    )
    overdue_after: Duration = Field(
        dt.timedelta(days=1), description="How long after it was due a month that is not there is overdue."
    )
    late_data_months: int = Field(
        3, ge=0, le=120, description="How many months before the newest are still brought up to date by themselves."
    )
    webhook_variable: str = Field(
        "CLTV_WEBHOOK_URL",
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
        description="Environment variable that holds the webhook's address (Slack-compatible).",
    )


class Settings(_Section):
    """Every setting of the platform."""

    asset_prefix: str = Field(
        "",
        pattern=r"^([A-Za-z_][A-Za-z0-9_]*)?$",
        description="Put before every asset, job, sensor and resource: two graphs in one deployment do not collide.",
    )
    environment: EnvironmentName = Field(
        "development", description="production: sensors and schedules run from the start. The others: none does."
    )
    automation: Automation = Field(default_factory=Automation)

    source: Source = Field(default_factory=lambda: Source.model_validate({}))
    refunds: Literal["net", "drop"] = "net"
    time_zone: str = "UTC"
    currency: str = Field("USD", pattern=r"^[A-Z]{3}$", description="ISO 4217 code; a line in another is rejected.")
    start_month: MonthKey | None = None
    end_month: MonthKey | None = Field(None, description="Last month; empty for every month that has closed.")
    horizons_months: tuple[Annotated[int, Field(ge=1, le=60)], ...] = (3, 6, 12)
    annual_discount_rate: float = Field(0.10, ge=0, lt=10)
    gross_margin: float = Field(1.0, gt=0, le=1)
    purchase_model: Literal["auto", PurchaseModelName] = Field(
        "auto", description="auto: the one that did best on rolling holdouts inside the month's history."
    )
    seasonality: Literal["auto", "none", "monthly"] = Field(
        "auto", description="auto: monthly where rolling holdouts are better with it."
    )
    population: Literal["all", "repeat"] = "all"
    repeat_window_months: int = Field(12, ge=1, le=120)
    outliers: Outliers = Field(default_factory=Outliers)
    segments: Segments = Field(default_factory=Segments)
    checks: CheckThresholds = Field(default_factory=CheckThresholds)
    time_unit: Literal["day", "week"] = "day"
    lake_uri: str = "./lake"
    s3: S3 = Field(default_factory=S3)
    engine: Literal["duckdb", "spark"] = "duckdb"
    spark: Spark = Field(default_factory=Spark)
    pipes: Pipes = Field(default_factory=Pipes)
    duckdb_memory_limit: str = Field("2GB", pattern=r"^\d+(\.\d+)?\s*(MB|GB|MiB|GiB)$")
    #: Folder that relative paths start from: that of cltv.yaml, or the current one.
    home: Path = Field(default_factory=Path.cwd)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.time_zone not in available_timezones():
            near = difflib.get_close_matches(self.time_zone, sorted(available_timezones()), 1)
            raise ValueError(
                f"time_zone '{self.time_zone}' is not an IANA zone" + (f"; did you mean '{near[0]}'?" if near else "")
            )
        if "://" in self.lake_uri and not re.match(r"file://|s3://[^/]+(/|$)", self.lake_uri):
            raise ValueError(f"lake_uri '{self.lake_uri}' is neither a folder nor s3://bucket/prefix")
        if self.source.kind != "cdnow" and self.start_month is None:
            raise ValueError("start_month is needed: the first month of your data, as YYYY-MM")
        if self.end_month is not None and self.end_month < self.first_month.key:
            raise ValueError(f"end_month {self.end_month} lies before start_month {self.first_month}")
        if self.seasonality == "monthly" and self.purchase_model == "pareto_nbd":
            raise ValueError(
                "seasonality 'monthly' needs a model whose customers drop out at purchases: with pareto_nbd they drop "
                "out at any time; set purchase_model to bg_nbd, mbg_nbd or auto, or seasonality to none"
            )
        if not self.horizons_months or list(self.horizons_months) != sorted(set(self.horizons_months)):
            raise ValueError("horizons_months must be distinct and rising, for example [3, 6, 12]")
        return self

    @property
    def zone(self) -> ZoneInfo:
        """The time zone that days and months are counted in."""
        return ZoneInfo(self.time_zone)

    @property
    def first_month(self) -> Month:
        """The first partition."""
        return Month.parse(self.start_month or CDNOW_FIRST_MONTH)

    @property
    def fixed_last_month(self) -> Month | None:
        """The last partition where one is fixed; ``None`` while months go on closing."""
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
        # Not resolve(): a link that leads nowhere must be refused, not written behind.
        return os.path.normpath(self.home.absolute() / Path(self.lake_uri).expanduser())

    @property
    def source_path(self) -> str:
        """The source's path, absolute where it is a local one."""
        path = self.source.path or ""
        if "://" in path:
            return path
        # Not resolve(): a glob's stars are no file names.
        return os.path.normpath(self.home / Path(path).expanduser())
