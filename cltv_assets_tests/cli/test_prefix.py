"""The command line on a prefixed graph: plain names in, plain names out, and no other graph's news."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from cltv_assets.dagster_defs.instance import open_instance
from cltv_assets.settings import load_settings
from cltv_assets_tests.cli.commands import code_of
from cltv_assets_tests.e2e.running import write_config
from cltv_assets_tests.e2e.shop import deliver, lines_of_shop, months_of


@dg.asset(
    key=["bolt", "purchase_days"],
    partitions_def=dg.MonthlyPartitionsDefinition("2011-01", fmt="%Y-%m"),
    check_specs=[dg.AssetCheckSpec("unique_grain", asset=["bolt", "purchase_days"])],
)
def another_graph_s() -> dg.MaterializeResult:  # type: ignore[type-arg]
    return dg.MaterializeResult(check_results=[dg.AssetCheckResult(passed=False, check_name="unique_grain")])


def test_commands_on_a_prefixed_graph(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (month,) = months_of("2011-01", 1)
    deliver(tmp_path / "shop", lines_of_shop([month]))
    config = write_config(tmp_path, end_month="2011-01", asset_prefix="acme")
    assert code_of("run", "--config", str(config)) == 0
    with open_instance(load_settings(config)) as instance:
        dg.materialize([another_graph_s], instance=instance, partition_key="2011-01")
    capsys.readouterr()
    assert code_of("status", "--config", str(config)) == 0, capsys.readouterr().out
    assert code_of("run", "--config", str(config), "--select", "holdout_evaluation+") == 0
    assert code_of("status", "--config", str(config)) == 0, capsys.readouterr().out
    assert code_of("run", "--config", str(config), "--select", "purchase_days") == 0
    assert code_of("status", "--config", str(config)) == 0, "the same rows make nothing stale"
    deliver(tmp_path / "shop", {month: [("L1", "C888", "2011-01-20 12:00:00", "3", "7.00")]}, "late.csv")
    again = "raw_transactions,cleaned_transactions,rejected_transactions,purchase_days"
    assert code_of("run", "--config", str(config), "--select", again) == 0
    capsys.readouterr()
    assert code_of("status", "--config", str(config)) == 1
    assert "stale: " in (said := capsys.readouterr().out)
    assert "acme/" not in said
    assert code_of("run", "--config", str(config), "--select", "rfm+") == 2
    assert "Choose among acquisition_costs, acquisition_payback" in capsys.readouterr().err
