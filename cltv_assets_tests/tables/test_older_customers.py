"""From purchase days of a shop that is older than its data to rows, warnings and predictions."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from cltv_assets.engines.duckdb_engine import DuckDBEngine
from cltv_assets.lake import Lake
from cltv_assets.models.choosing.candidates import Contender
from cltv_assets.models.choosing.choice import Choice
from cltv_assets.models.choosing.histories import OperationalTime
from cltv_assets.models.choosing.older_base import difference_made, find_older_base
from cltv_assets.models.estimation.fitting import fit_purchase_model
from cltv_assets.months import Month
from cltv_assets.settings import Settings
from cltv_assets.sources import open_source
from cltv_assets.tables import rfm_summary
from cltv_assets.tables.check import audit
from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.purchase_model import fit
from cltv_assets.tables.purchase_model.older_customers import history_begins
from cltv_assets.tables.purchase_model.reading import operational_time, populations, readings
from cltv_assets_tests.models.shops import OlderShop, simulate_older, soon_again
from cltv_assets_tests.tables.test_fit import purchase_days

MONTH = Month.parse("2022-12")


@pytest.fixture(scope="module")
def truth() -> OlderShop:
    return simulate_older(61, 2500, (0.7, 60.0), dropout=(0.8, 3.5))


def chosen_alone(histories, folds, counts, wanted, seasonality, days_per_unit, intervals):
    """Stand for the choice: the model that is set, and BG/NBD. All candidates on four holdouts would take a minute."""
    fits = [fit_purchase_model(histories.statistics(OperationalTime(None, days_per_unit)), name)
            for name in dict.fromkeys(("bg_nbd" if wanted == "auto" else wanted, "bg_nbd"))]  # fmt: skip
    return Choice(Contender(fits[0]), [Contender(each) for each in fits[1:]], "")


@pytest.fixture(scope="module")
def made(truth):
    """Return a function from settings to the rows of the month and what the check says of them."""
    engine = DuckDBEngine()
    patch = pytest.MonkeyPatch()
    patch.setattr(fit, "choose_model", chosen_alone)

    def run(known: pa.Table | None = None, **changes):
        settings = Settings.model_validate({"start_month": "2022-01", "end_month": "2022-12", **changes})
        days = engine.from_arrow(purchase_days(truth.shop) if known is None else known)
        month = MonthRun(MONTH, settings, engine, Lake("unused"), open_source(settings), {"purchase_days": days})
        month.inputs["rfm_summary"] = engine.cache(rfm_summary.make(month))
        table = engine.cache(fit.make(month))
        (finding,) = audit(table, (history_begins,), month)
        rows = engine.collect(table).to_pylist()
        engine.release()
        return rows, finding, settings

    yield run
    patch.undo()
    engine.close()


def test_without_the_setting_a_warning_says_what_it_would_change(made, truth):
    rows, finding, _ = made()
    row = rows[0]
    assert row["role"] == "chosen"
    histories = truth.shop.histories(truth.end)
    clock = OperationalTime(None, 1)
    known = {name: row[name] for name in ("r", "alpha", "a", "b")}
    found = find_older_base(histories, soon_again(truth.shop, truth.end), row["model_name"], known, clock)
    difference = difference_made(found, histories, known, clock, 365.0)
    assert row["older_customers"] == round(difference.customers)
    assert row["older_total_change"] == pytest.approx(difference.total, abs=1e-4)
    assert row["older_p_alive_change"] == pytest.approx(difference.p_alive, abs=1e-4)
    assert row["populations"] is None
    assert not finding.verdict.passed
    assert not finding.blocks
    for told in (f"{row['older_customers']:,} of {len(truth.older):,}", f"{difference.total:+.1%}", "unknown", "none"):
        assert told in finding.verdict.message


def test_unknown_predicts_them_as_older_ones(made, truth):
    rows, finding, settings = made(history_before_start="unknown")
    row = rows[0]
    assert finding.verdict.passed
    assert "predicted as such" in finding.verdict.message
    assert populations(row).older.keys() == {"r", "alpha", "a", "b"}
    histories = truth.shop.histories(truth.end)
    ways = readings(
        [row], operational_time(row, settings), histories.frequency, histories.first, histories.last, MONTH.last_day
    )
    assert len(ways) == 2
    assert sum(way.probability for way in ways) == pytest.approx(np.ones(len(histories.frequency)))
    assert histories.weights @ ways[1].probability == pytest.approx(row["older_customers"], abs=0.5)


def test_none_and_models_that_cannot_tell_predict_as_before(made):
    rows, finding, _ = made(history_before_start="none")
    assert rows[0]["older_customers"] is None
    assert finding.verdict.passed
    rows, finding, _ = made(history_before_start="unknown", purchase_model="nbd")
    assert rows[0]["older_customers"] > 0
    assert rows[1]["older_customers"] is None
    assert rows[0]["populations"] is None
    assert not finding.verdict.passed
    assert "nbd cannot tell them" in finding.verdict.message


def test_a_new_shop_gives_no_warning(made):
    new = simulate_older(62, 1500, (0.7, 60.0), dropout=(0.8, 3.5), before=0.0, decline=1.5)
    rows, finding, _ = made(purchase_days(new.shop), history_before_start="unknown")
    assert (rows[0]["older_customers"], rows[0]["populations"]) == (None, None)
    assert finding.verdict.passed
