"""A shop with fourteen months, whose lake answers questions, and its sales as pandas reads them off its files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from cltv_assets.settings import Settings
from cltv_assets_tests.dagster_defs.assets.test_ranges import run_range
from cltv_assets_tests.e2e.running import settings_in, write_config
from cltv_assets_tests.e2e.shop import DIRT, Line, deliver, lines_of_shop, months_of

MONTHS = months_of("2010-01", 14)
#: The newest month, the one before, and the one three months before: what the questions compare.
MODELLED = (MONTHS[-4], MONTHS[-2], MONTHS[-1])
_VALUES = {"start_month": "2010-01", "end_month": "2011-02", "horizons_months": [3, 6, 12]}
_FIRST = ["raw_transactions", "cleaned_transactions", "rejected_transactions", "purchase_days"]
_SUMMARIES = ["repeat_customers", "rfm_summary"]
_SECOND = [
    "purchase_model",
    "spend_model",
    "cltv_predictions",
    "segment_summary",
    "segment_movement",
    "holdout_evaluation",
]


@dataclass(frozen=True)
class AnalysisShop:
    """The shop's settings in a file, and its sales."""

    home: Path
    settings: Settings
    sales: pd.DataFrame

    @property
    def config(self) -> Path:
        return self.home / "cltv.yaml"


def _without_cancelled(lines: list[Line]) -> list[Line]:
    """Leave out refunds of all that an order had: what they do to counts is tested with `purchase_days`."""
    sold: dict[str, list[Line]] = {}
    for line in lines:
        sold.setdefault(line[0], []).append(line)
    whole = {f"R{name}" for name, of in sold.items() if len(of) == 1 and of[0][3] == "1"}
    return [line for line in lines if line[0] not in whole]


def sales_of(home: Path) -> pd.DataFrame:
    """Read the delivered files without the lines that the shop knows to be dirt."""
    dirty = {line[0] for _, line in DIRT}
    frames = [
        # Of the one line with too many fields the first five are read.
        pd.read_csv(file, dtype=str, usecols=range(5), on_bad_lines=lambda bad: bad[:5], engine="python")
        for file in sorted((home / "shop").glob("*.csv"))
    ]
    sales = pd.concat(frames)
    sales = sales[~sales.invoice.isin(dirty)]
    # Pence, so that sums are exact.
    amount = sales.quantity.astype(int) * (sales.price.astype(float) * 100).round().astype(int)
    day = pd.to_datetime(sales.time).dt.normalize()
    return pd.DataFrame(
        {
            "customer": sales.customer.str.strip(),
            "invoice": sales.invoice,
            "day": day,
            "month": day.dt.to_period("M"),
            "spend": amount.clip(lower=0),
            "refund": -amount.clip(upper=0),
            "amount": amount,
        }
    )


@pytest.fixture(scope="session")
def analysis_shop(tmp_path_factory: pytest.TempPathFactory) -> AnalysisShop:
    """A lake that tests only read. Months that no question looks at have sales, and no models."""
    home = tmp_path_factory.mktemp("analysis")
    lines = {month: _without_cancelled(some) for month, some in lines_of_shop(MONTHS, customers=240).items()}
    deliver(home / "shop", lines)
    write_config(home, **_VALUES)
    settings = settings_in(home, **_VALUES)
    with dg.DagsterInstance.ephemeral() as instance:
        assert run_range(settings, instance, MONTHS, _FIRST).success
        assert run_range(settings, instance, MONTHS[-4:], _SUMMARIES).success
        for month in MODELLED:
            assert run_range(settings, instance, [month], _SECOND).success
    return AnalysisShop(home, settings, sales_of(home))
