"""Turns patterns collected from the engine into histories with dates."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from cltv_assets.models.choosing.histories import Histories
from cltv_assets.months import Month


def histories(patterns: pa.Table, month: Month) -> Histories:
    """Return patterns with their dates, as of the end of ``month``."""
    return Histories(
        frequency=patterns["frequency"].to_numpy(),
        first=patterns["first_purchase"].to_numpy().astype("datetime64[D]"),
        last=patterns["last_purchase"].to_numpy().astype("datetime64[D]"),
        weights=patterns["customers"].to_numpy().astype(np.float64),
        end=np.datetime64(month.last_day),
    )
