"""Every setting, in one pydantic model, from ``cltv.yaml`` and ``CLTV_*`` variables.

Nothing is read at import: ``load_settings`` reads when it is called. Variables
override the file: ``CLTV_LAKE_URI``, ``CLTV_ENGINE``, and for nested keys two
underscores, ``CLTV_SOURCE__PATH``. An unknown key is an error that suggests the
right one; errors name the file and line.
"""

from __future__ import annotations

import codecs
import datetime as dt
import difflib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args
from zoneinfo import ZoneInfo, available_timezones

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from cltv_assets.errors import ConfigError
from cltv_assets.months import Month
from cltv_assets.timestamp_format import compile_format

#: Canonical names that a source may map its columns to.
CanonicalName = Literal[
    "transaction_id", "customer_id", "transacted_at", "quantity", "unit_price", "amount", "currency"
]

#: Variables that belong to the command line and the deployment, not to the settings.
_OTHER_VARIABLES = {"CLTV_CONFIG", "CLTV_DEBUG"}

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


class CheckThresholds(_Section):
    """When a check speaks up. What is wrong blocks regardless; these are for the odd."""

    volume_change: float = Field(0.5, gt=0, description="Warn when a month's rows differ from the recent mean by more.")
    reject_share: float = Field(0.5, gt=0, le=1, description="Block when more than this share of lines is rejected.")
    reject_share_change: float = Field(0.1, gt=0, le=1, description="Warn when the share moves by more than this.")
    frequency_value_correlation: float = Field(0.3, gt=0, le=1, description="Warn above this absolute correlation.")
    parameter_drift_se: float = Field(4.0, gt=0, description="Warn when a parameter moves by more standard errors.")
    prediction_drift: float = Field(0.5, gt=0, description="Warn when the mean prediction moves by a larger share.")
    holdout_bias: float = Field(0.5, gt=0, description="Warn above this absolute relative bias of the total.")


class Settings(_Section):
    """Every setting of the platform."""

    source: Source = Field(default_factory=lambda: Source.model_validate({}))
    refunds: Literal["net", "drop"] = "net"
    time_zone: str = "UTC"
    currency: str = Field("USD", pattern=r"^[A-Z]{3}$", description="ISO 4217 code; a line in another is rejected.")
    start_month: MonthKey | None = None
    end_month: MonthKey | None = Field(None, description="Last month; empty for every month that has closed.")
    horizons_months: tuple[Annotated[int, Field(ge=1, le=60)], ...] = (3, 6, 12)
    annual_discount_rate: float = Field(0.10, ge=0, lt=10)
    gross_margin: float = Field(1.0, gt=0, le=1)
    population: Literal["all", "repeat"] = "all"
    repeat_window_months: int = Field(12, ge=1, le=120)
    outliers: Outliers = Field(default_factory=Outliers)
    segments: Segments = Field(default_factory=Segments)
    checks: CheckThresholds = Field(default_factory=CheckThresholds)
    time_unit: Literal["day", "week"] = "day"
    lake_uri: str = "./lake"
    engine: Literal["duckdb"] = "duckdb"
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
        if "://" in self.lake_uri and not self.lake_uri.startswith("file://"):
            raise ValueError(f"lake_uri '{self.lake_uri}' is on an object store; this version writes to folders only")
        if self.source.kind != "cdnow" and self.start_month is None:
            raise ValueError("start_month is needed: the first month of your data, as YYYY-MM")
        if self.end_month is not None and self.end_month < self.first_month.key:
            raise ValueError(f"end_month {self.end_month} lies before start_month {self.first_month}")
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


def load_settings(config: str | os.PathLike[str] | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """Read ``cltv.yaml`` and ``CLTV_*`` variables.

    Parameters
    ----------
    config : path, optional
        The file; by default ``$CLTV_CONFIG``, else ``cltv.yaml`` in the current
        folder where there is one, else the demo's settings.
    environ : mapping, optional
        The variables, ``os.environ`` by default.

    Raises
    ------
    ConfigError
        If the file cannot be read or any setting is wrong.
    """
    environ = os.environ if environ is None else environ
    named = config or environ.get("CLTV_CONFIG")
    path = Path(named) if named else Path("cltv.yaml")
    values: dict[str, Any] = {}
    lines: dict[tuple[str, ...], int] = {}
    home = Path.cwd()
    if path.is_file():
        values, lines = _read_yaml(path)
        home = path.resolve().parent
    elif named:
        raise ConfigError(
            f"The configuration file {path} does not exist.", "Give the right path, or leave it out to run the demo."
        )
    _apply_variables(values, environ)
    values.setdefault("home", home)
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise _explain(error, path if lines else None, lines) from None


def _read_yaml(path: Path) -> tuple[dict[str, Any], dict[tuple[str, ...], int]]:
    """Return the file's values, and the line of each key for error messages."""
    try:
        text = path.read_text(encoding="utf-8")
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        values = yaml.safe_load(text)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        detail = " ".join(str(error).split())
        raise ConfigError(f"{path} is not readable YAML: {detail}.", "Mend the file at that place.") from None
    if values is None:
        return {}, {}
    if not isinstance(values, dict):
        raise ConfigError(f"{path} holds no settings.", "Write 'key: value' lines; README.md shows an example.")
    lines: dict[tuple[str, ...], int] = {}

    def walk(node: yaml.Node, at: tuple[str, ...]) -> None:
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                place = (*at, str(key.value))
                if place in lines:
                    raise ConfigError(
                        f"{path}, line {key.start_mark.line + 1}: {'.'.join(place)} stands there twice.",
                        "Keep one of the two.",
                    )
                lines[place] = key.start_mark.line + 1
                walk(value, place)

    if node is not None:
        walk(node, ())
    return values, lines


def _apply_variables(values: dict[str, Any], environ: Mapping[str, str]) -> None:
    """Lay ``CLTV_*`` variables over the file's values, parsing each as YAML."""
    for name, text in sorted(environ.items()):
        if not name.startswith("CLTV_") or name in _OTHER_VARIABLES:
            continue
        keys = name.removeprefix("CLTV_").lower().split("__")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError:
            value = text
        target = values
        for key in keys[:-1]:
            inner = target.get(key)
            target[key] = dict(inner) if isinstance(inner, dict) else {}
            target = target[key]
        target[keys[-1]] = value
    # YAML reads an empty variable as null: an unset value rather than an empty one.


def _names_at(place: tuple[str, ...]) -> list[str]:
    """Return the keys that are legal beside the last one of ``place``."""
    model: type[BaseModel] = Settings
    for key in place[:-1]:
        field = model.model_fields.get(key)
        if field is None:
            return []
        annotation = field.annotation
        if key == "columns":
            return list(get_args(CanonicalName))
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return []
        model = annotation
    return [name for name in model.model_fields if name != "home"]


def _explain(error: ValidationError, path: Path | None, lines: dict[tuple[str, ...], int]) -> ConfigError:
    """Turn pydantic's findings into one paragraph that names line and remedy."""
    problems: list[str] = []
    for item in error.errors():
        place = tuple(str(part) for part in item["loc"] if part != "[key]")
        shown = ".".join(place) or "the settings"
        known = next((lines[place[:n]] for n in range(len(place), 0, -1) if place[:n] in lines), None)
        where = f"{path}, line {known}: " if path and known else (f"{path}: " if path else "")
        unknown_key = item["type"] == "extra_forbidden" or item["loc"][-1:] == ("[key]",)
        if unknown_key:
            legal = _names_at(place)
            near = difflib.get_close_matches(place[-1], legal, 1, cutoff=0.5)
            hint = f"did you mean '{near[0]}'?" if near else f"the keys there are {', '.join(legal)}."
            variable = "" if known else f" (variable CLTV_{'__'.join(place).upper()})"
            problems.append(f"{where}unknown key '{shown}'{variable}; {hint}")
            continue
        message = re.sub(r"^Value error, ", "", item["msg"])
        got = f" (got {item['input']!r})" if place and not isinstance(item["input"], dict) else ""
        if item["type"] == "string_type" and isinstance(item["input"], bool):
            message += "; YAML reads a bare Yes, No, On or Off as true or false: put it in quotes"
        problems.append(f"{where}{shown}: {message}{got}.")
    remedy = "Mend these and try again." if len(problems) > 1 else "Mend it and try again."
    return ConfigError(" ".join(problems), remedy)
