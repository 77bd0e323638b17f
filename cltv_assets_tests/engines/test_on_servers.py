"""The Spark engine on a Connect server, and on S3: the same contract, and how files get there."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cltv_assets.dagster_defs.resources.s3 import object_store_for
from cltv_assets.engines import open_engine
from cltv_assets.settings import Settings
from cltv_assets_tests.cluster.apart import Apart
from cltv_assets_tests.engines import contract
from cltv_assets_tests.engines.contract import EVERY_TYPE

SECONDS = 240


def keep_the_contract(settings: Settings, folder: Path) -> dict[str, Any]:
    engine = open_engine(settings)
    contract.check_types_are_kept(engine)
    contract.check_written_files_are_read_back(engine, folder)
    contract.check_an_empty_result_is_a_file_without_rows(engine, folder)
    given = engine.from_arrow(contract.table())
    kept = engine.cache(given.filter(given.small == 0))
    seen = {"rows": engine.collect(kept).num_rows, "largest": engine.measure(given, {"n": given.large.max()})["n"]}
    views = {table.name for table in engine._session.catalog.listTables()}
    engine.release()
    seen["views"] = (len(views), len(engine._session.catalog.listTables()))
    engine.close()
    return seen


def write_to_s3_and_here(settings: Settings, folder: Path) -> dict[str, Any]:
    objects = object_store_for(settings)
    assert objects is not None
    engine = open_engine(settings, objects)
    path = f"{settings.lake_root}/every_type/month=2011-03-01/x-part-0.parquet"
    engine.write(engine.from_arrow(contract.table()), EVERY_TYPE, path)
    files = objects.filesystem()
    found = files.get_file_info(pa.fs.FileSelector(path.removeprefix("s3://")))
    names = [info.path for info in found if info.base_name.endswith(".parquet")]
    done = next(info.path for info in found if info.base_name == "_SUCCESS")
    with files.open_input_file(done) as file:
        committer = json.loads(file.read())["committer"]
    read = engine.collect(engine.read_lake(EVERY_TYPE, [f"s3://{name}" for name in names]))
    local = str(folder / "local.parquet")
    engine.write(engine.from_arrow(contract.table([])), EVERY_TYPE, local)
    key = objects.credentials()
    assert key is not None
    session = engine._session
    shown = str(session.sparkContext.getConf().getAll()) + str(dict(session._jvm.java.lang.System.getProperties()))
    seen = {
        "files": len(names),
        "committer": committer,
        "equal": contract.sorted_rows(read.drop_columns("month")) == contract.sorted_rows(contract.table()),
        "pyarrow": pq.read_metadata(names[0], filesystem=files).num_rows,
        "local": len(contract.data_files(local)),
        "secret shown": key.secret_access_key in shown,
    }
    engine.close()
    return seen


def test_a_connect_server_keeps_the_contract(connect_url: str, tmp_path: Path):
    settings = Settings.model_validate({"engine": "spark", "spark": {"remote": connect_url}})
    with Apart(keep_the_contract, settings, tmp_path) as process:
        seen = process.result(SECONDS)
    assert seen == {"rows": 1, "largest": 2**63 - 1, "views": (10, 0)}


def test_on_s3_nothing_is_renamed_and_no_key_is_shown(
    cluster_settings: Callable[..., Settings], s3_proxy: Any, tmp_path: Path
):
    with Apart(write_to_s3_and_here, cluster_settings("spark", "s3"), tmp_path) as process:
        seen = process.result(SECONDS)
    assert seen == {
        "files": 1, "committer": "magic", "equal": True, "pyarrow": 4, "local": 1, "secret shown": False,
    }  # fmt: skip
