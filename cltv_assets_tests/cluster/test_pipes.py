"""A month's first half in another process, reached by Dagster Pipes through the S3 server."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from deltalake import DeltaTable

from cltv_assets.cli.runner import QUIET, errors_of
from cltv_assets.dagster_defs.accepting import accepting
from cltv_assets.dagster_defs.build import MONTH_JOB, build_definitions
from cltv_assets.dagster_defs.graph import assets_of_half
from cltv_assets.dagster_defs.remote.launching import PipesLauncher
from cltv_assets.dagster_defs.resources import object_store_for
from cltv_assets.lake import Lake
from cltv_assets.settings import Settings
from cltv_assets.tables import all_schemas
from cltv_assets_tests.cluster.radosgw import REGION, Radosgw
from cltv_assets_tests.cluster.stand_in import StandIn
from cltv_assets_tests.conftest import SHOP_COLUMNS
from cltv_assets_tests.e2e.shop import Line, deliver, lines_of_shop, months_of

MONTHS = months_of("2011-01", 2)
JANUARY = MONTHS[0]
FIRST_HALF = assets_of_half("preprocess")


@dataclass
class Shop:
    """A shop whose months are prepared elsewhere.

    Parameters
    ----------
    settings : Settings
    server : Radosgw
    bucket : str
    folder : Path
        Where the remote process runs.
    """

    settings: Settings
    server: Radosgw
    bucket: str
    folder: Path

    def run(
        self, assets: Sequence[str] = FIRST_HALF, accept_loss: bool = False, **stand_in: Any
    ) -> tuple[Any, dg.DagsterInstance]:
        launcher = PipesLauncher(self.settings, StandIn(self.folder, dict(os.environ), **stand_in))
        definitions = build_definitions(self.settings, pipes=dg.ResourceDefinition.hardcoded_resource(launcher))
        return execute(definitions, assets, accepting(self.settings) if accept_loss else {})

    def names(self) -> list[str]:
        """Return the names of everything in the bucket."""
        found = self.server.client().list_objects_v2(Bucket=self.bucket)
        return [item["Key"] for item in found.get("Contents", ())]

    def published(self, table: str) -> bool:
        lake = Lake(self.settings.lake_root, object_store_for(self.settings))
        schema = {schema.name: schema for schema in all_schemas(self.settings.horizons_months)}[table]
        return bool(lake.table(schema).published([JANUARY]))

    def files(self, table: str) -> list[str]:
        """Return the names of a table's data files, published or not."""
        return [key for key in self.names() if f"/{table}/" in key and "/month=" in key and not key.endswith("/")]


def execute(
    definitions: dg.Definitions, assets: Sequence[str], config: Mapping[str, Any] | None = None
) -> tuple[Any, dg.DagsterInstance]:
    instance = dg.DagsterInstance.ephemeral()
    result = definitions.resolve_job_def(MONTH_JOB).execute_in_process(
        run_config=QUIET | dict(config or {}),
        instance=instance,
        partition_key=JANUARY.key,
        asset_selection=[dg.AssetKey(name) for name in assets],
        raise_on_error=False,
    )
    return result, instance


@pytest.fixture
def shop(
    cluster_settings: Callable[..., Settings], s3_environment: Radosgw, bucket: str, tmp_path: Path
) -> Callable[..., Shop]:
    def make(lines: dict[Any, list[Line]]) -> Shop:
        deliver(tmp_path / "shop", lines)
        there = tmp_path / "there"
        there.mkdir()
        pipes = {
            "kind": "emr_serverless",
            "bucket": bucket,
            "application_id": "none",
            "execution_role": "none",
            "entry_point": "none",
            "poll_seconds": 0.5,
        }
        settings = cluster_settings(
            "duckdb",
            "s3",
            # Not through the proxy: it runs in this process, and so does delta-rs while it reads.
            s3={"endpoint_url": s3_environment.endpoint_url, "region": REGION},
            source={"kind": "csv", "path": str(tmp_path / "shop"), "columns": SHOP_COLUMNS},
            start_month="2011-01",
            end_month="2011-02",
            pipes=pipes,
        )
        return Shop(settings, s3_environment, bucket, there)

    return make


def checks_of(result: Any) -> dict[str, tuple[Any, ...]]:
    return {
        f"{found.asset_key.to_user_string()}.{found.check_name}": (
            found.passed,
            found.severity,
            found.description,
            {
                # The lakes differ, and so do their addresses.
                name: value.value.split("/")[-2:] if name == "rejected_lines" else value
                for name, value in found.metadata.items()
                if name != "dagster/partition_row_count"
            },
        )
        for found in result.get_asset_check_evaluations()
    }


def rows_of(settings: Settings, table: str) -> list[str]:
    """Return a published table's rows, in an order that depends on nothing but them."""
    store = object_store_for(settings)
    delta = DeltaTable(f"{settings.lake_root}/{table}", storage_options=store.delta_options() if store else None)
    return sorted(map(str, delta.to_pyarrow_table().to_pylist()))


def made_by(result: Any) -> dict[str, dict[str, Any]]:
    return {
        event.materialization.asset_key.to_user_string(): {
            name: value.value for name, value in event.materialization.metadata.items()
        }
        for event in result.get_asset_materialization_events()
    }


def test_a_month_comes_back_as_if_it_had_run_here(shop: Callable[..., Shop], tmp_path: Path) -> None:
    remote = shop(lines_of_shop(MONTHS))
    result, instance = remote.run([*FIRST_HALF, "purchase_model"])
    assert result.success, errors_of(result)

    here = remote.settings.model_dump(exclude={"pipes", "lake_uri", "s3"})
    local = Settings.model_validate(here | {"lake_uri": str(tmp_path / "lake")})
    expected, _ = execute(build_definitions(local), [*FIRST_HALF, "purchase_model"])
    assert expected.success
    assert checks_of(result) == checks_of(expected)
    assert len(checks_of(result)) > 30
    made, own = made_by(result), made_by(expected)
    assert set(made) == {*FIRST_HALF, "purchase_model"}
    for name in FIRST_HALF:
        for key in ("dagster/partition_row_count", "table_version"):
            assert made[name][key] == own[name][key], (name, key)
        assert made[name]["dagster/uri"] == f"{remote.settings.lake_root}/{name}/month=2011-01-01"
        assert made[name]["bytes"] > 0
        # Which rows a preview shows is left to the engine.
        assert made[name]["preview"].splitlines()[:2] == own[name]["preview"].splitlines()[:2]
        assert rows_of(remote.settings, name) == rows_of(local, name)
        assert remote.published(name)

    messages = [entry.user_message for entry in instance.all_logs(result.run_id)]
    rows = made["raw_transactions"]["dagster/partition_row_count"]
    assert f"raw_transactions is published: {rows:,} rows" in " ".join(messages)
    assert not (remote.folder / ".dagster").exists()
    passed = [key for key in remote.names() if key.startswith("cltv-pipes/")]
    assert passed, "messages pass under the prefix"
    assert not any(key.endswith("context.json") for key in remote.names())


def test_a_check_that_blocks_there_fails_the_step_here(shop: Callable[..., Shop]) -> None:
    lines = lines_of_shop(MONTHS)
    lines[JANUARY] = [(*line[:4], "free") for line in lines[JANUARY] if len(line) == 5]
    remote = shop(lines)
    # The other way to tell the process where settings and answers pass.
    result, _ = remote.run(by_arguments=True)
    assert not result.success
    (error,) = errors_of(result)
    assert "2011-01 is not published" in error
    assert "reject_share" in error
    failed = {
        name
        for name, (passed, severity, *_) in checks_of(result).items()
        if not passed and severity == dg.AssetCheckSeverity.ERROR
    }
    assert any(name.endswith("reject_share") for name in failed)
    # The lines as delivered passed their own checks and stand.
    assert set(made_by(result)) == {"raw_transactions"}
    assert remote.published("raw_transactions")
    assert not remote.published("cleaned_transactions")
    assert remote.files("cleaned_transactions") == []


def test_a_process_killed_in_the_middle_fails_the_step_and_says_what_stands(
    shop: Callable[..., Shop], monkeypatch: pytest.MonkeyPatch
) -> None:
    # How long Dagster waits for the last messages of a process that ended without saying so.
    monkeypatch.setattr("dagster._core.pipes.utils.WAIT_FOR_LOGS_AFTER_EXECUTION_INTERVAL", 4)
    remote = shop(lines_of_shop(MONTHS))

    def kill(process: subprocess.Popen[bytes]) -> None:
        end = time.monotonic() + 60
        while time.monotonic() < end and process.poll() is None:
            if remote.published("raw_transactions"):
                process.kill()
                return
            time.sleep(0.02)

    result, _ = remote.run(meanwhile=kill)
    assert not result.success
    (error,) = errors_of(result)
    assert "The remote run of 2011-01 ended before" in error
    assert "rfm_summary were published: RuntimeError: the job ended with -9" in error
    assert "run the month again" in error
    assert not remote.published("rfm_summary")
    again, _ = remote.run()
    assert again.success, errors_of(again)


def test_a_loss_is_refused_there_and_accepted_from_here(shop: Callable[..., Shop]) -> None:
    lines = lines_of_shop(MONTHS)
    remote = shop(lines)
    result, _ = remote.run()
    assert result.success, errors_of(result)
    folder = Path(remote.settings.source_path)
    deliver(folder, {JANUARY: lines[JANUARY][: len(lines[JANUARY]) // 2]})
    result, _ = remote.run()
    (error,) = errors_of(result)
    assert f"2011-01.csv has {len(lines[JANUARY]) // 2} of {len(lines[JANUARY])} lines" in error
    result, _ = remote.run(accept_loss=True)
    assert result.success, errors_of(result)
    passed, severity, description, facts = checks_of(result)["raw_transactions.nothing_lost"]
    assert (passed, severity) == (False, dg.AssetCheckSeverity.WARN)
    assert description.endswith("The loss is accepted.")
    assert facts["accepted"].value is True


def test_settings_that_do_not_fit_there_are_told(shop: Callable[..., Shop]) -> None:
    remote = shop(lines_of_shop(MONTHS))
    pipes = remote.settings.pipes.model_copy(update={"settings": {"source": {"path": "/nowhere"}}})
    remote.settings = remote.settings.model_copy(update={"pipes": pipes})
    result, _ = remote.run()
    (error,) = errors_of(result)
    assert "/nowhere" in error
    assert not remote.published("raw_transactions")
