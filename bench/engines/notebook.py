"""The peer: what a plain notebook with pandas and ``lifetimes`` does with the same files.

``python -m bench.engines.notebook SOURCE OUT``: one process, one table in memory, no
checks, nothing published, each customer a row of the fit, as tutorials of
``lifetimes`` do it. It ends where predictions stand in a Parquet file.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from bench.engines.stages import Stages

_HORIZONS_DAYS = {3: 90, 6: 181, 12: 365}
_MONTHLY_DISCOUNT = 1.10 ** (1 / 12) - 1


def run(source: Path, out: Path) -> None:
    """Go through the notebook's cells.

    Parameters
    ----------
    source : Path
        Folder of the months' Parquet files.
    out : Path
        Folder for the stages' times and the predictions.
    """
    stages = Stages(out)
    with stages.stage("start"):
        from lifetimes import BetaGeoFitter, GammaGammaFitter
        from lifetimes.utils import summary_data_from_transaction_data
    warnings.simplefilter("ignore")

    with stages.stage("read"):
        lines = pd.concat([pd.read_parquet(file) for file in sorted(source.glob("*.parquet"))], ignore_index=True)

    with stages.stage("clean"):
        lines = lines.dropna(subset=["customer", "price"])
        lines = lines[(lines["quantity"] > 0) & (lines["price"] > 0)]
        lines["amount"] = lines["quantity"] * lines["price"]
        lines["customer"] = lines["customer"].astype("int64")

    with stages.stage("purchase days"):
        lines["day"] = lines["ordered_at"].dt.normalize()
        days = lines.groupby(["customer", "day"], as_index=False)["amount"].sum()
        del lines

    with stages.stage("rfm"):
        end = pd.Timestamp("2024-12-31")
        rfm = summary_data_from_transaction_data(
            days, "customer", "day", monetary_value_col="amount", observation_period_end=end
        )
        del days

    with stages.stage("purchase model"):
        purchases = BetaGeoFitter(penalizer_coef=0.0)
        purchases.fit(rfm["frequency"], rfm["recency"], rfm["T"])

    with stages.stage("spend model"):
        repeat = rfm[(rfm["frequency"] > 0) & (rfm["monetary_value"] > 0)]
        spend = GammaGammaFitter(penalizer_coef=0.0)
        spend.fit(repeat["frequency"], repeat["monetary_value"])

    with stages.stage("predictions"):
        rfm["p_alive"] = purchases.conditional_probability_alive(rfm["frequency"], rfm["recency"], rfm["T"])
        for months, days_ahead in _HORIZONS_DAYS.items():
            rfm[f"expected_purchases_{months}m"] = purchases.conditional_expected_number_of_purchases_up_to_time(
                days_ahead, rfm["frequency"], rfm["recency"], rfm["T"]
            )
        rfm["expected_order_value"] = spend.conditional_expected_average_profit(rfm["frequency"], rfm["monetary_value"])
        for months in _HORIZONS_DAYS:
            rfm[f"cltv_{months}m"] = spend.customer_lifetime_value(
                purchases,
                rfm["frequency"],
                rfm["recency"],
                rfm["T"],
                rfm["monetary_value"],
                time=months,
                discount_rate=_MONTHLY_DISCOUNT,
                freq="D",
            )
        rfm.reset_index().to_parquet(out / "predictions.parquet")

    stages.finish(
        {
            "customers": len(rfm),
            **{name: float(value) for name, value in purchases.params_.items()},
            **{name: float(value) for name, value in spend.params_.items()},
            "purchases_12m": float(np.nansum(rfm["expected_purchases_12m"])),
            "cltv_12m": float(np.nansum(rfm["cltv_12m"])),
        }
    )


if __name__ == "__main__":
    run(Path(sys.argv[1]), Path(sys.argv[2]))
