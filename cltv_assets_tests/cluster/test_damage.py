"""Damage to a lake on S3: it is named, and the advised commands mend it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from deltalake import DeltaTable

from cltv_assets.dagster_defs.resources.s3 import object_store_for
from cltv_assets.settings import Settings
from cltv_assets_tests.cli.commands import code_of
from cltv_assets_tests.cluster.radosgw import Radosgw
from cltv_assets_tests.conftest import SHOP_COLUMNS
from cltv_assets_tests.e2e.shop import deliver, lines_of_shop, months_of

MONTH = "2011-01"
TABLES = ("raw_transactions", "rfm_summary")


class Shop:
    """A lake of one month on S3, and how its objects are reached without the package."""

    def __init__(self, settings: Settings, bucket: str) -> None:
        self.settings = settings
        self.bucket = bucket
        self.client: Any = boto3.client("s3", endpoint_url=settings.s3.endpoint_url, region_name="us-east-1")

    def table(self, name: str) -> DeltaTable:
        objects = object_store_for(self.settings)
        assert objects is not None
        return DeltaTable(f"{self.settings.lake_uri}/{name}", storage_options=objects.delta_options())

    def rows(self, name: str) -> list[dict[str, Any]]:
        return sorted(self.table(name).to_pyarrow_table().to_pylist(), key=repr)

    def key(self, name: str) -> str:
        """Return the key of the month's one file."""
        (uri,) = self.table(name).file_uris()
        return uri.removeprefix(f"s3://{self.bucket}/")

    def entry(self, name: str) -> str:
        """Return the key of the log's newest entry."""
        prefix = f"{self.settings.lake_uri.removeprefix(f's3://{self.bucket}/')}/{name}/_delta_log/"
        listed = self.client.list_objects_v2(Bucket=self.bucket, Prefix=prefix)["Contents"]
        return max(one["Key"] for one in listed if one["Key"].endswith(".json"))

    def read(self, key: str) -> bytes:
        content: bytes = self.client.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        return content

    def write(self, key: str, content: bytes) -> None:
        self.client.put_object(Bucket=self.bucket, Key=key, Body=content)

    def delete(self, key: str) -> None:
        self.client.delete_object(Bucket=self.bucket, Key=key)


@pytest.fixture
def shop(cluster_settings: Callable[..., Settings], s3_server: Radosgw, bucket: str, tmp_path: Path) -> Shop:
    deliver(tmp_path / "shop", lines_of_shop(months_of(MONTH, 1), customers=40))
    settings = cluster_settings(
        "duckdb",
        "s3",
        source={"kind": "csv", "path": str(tmp_path / "shop"), "columns": SHOP_COLUMNS},
        start_month=MONTH,
        end_month=MONTH,
        currency="GBP",
        horizons_months=[1],
    )
    # Not through the proxy: it runs in this process, which delta-rs keeps waiting while it reads a log.
    direct = settings.s3.model_copy(update={"endpoint_url": f"http://127.0.0.1:{s3_server.port}"})
    settings = settings.model_copy(update={"s3": direct})
    values = settings.model_dump(mode="json", exclude_defaults=True, exclude={"home"})
    (tmp_path / "cltv.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    return Shop(settings, bucket)


def flipped(content: bytes) -> bytes:
    return content[:8] + bytes(byte ^ 0xFF for byte in content[8:40]) + content[40:]


def test_damage_on_s3_is_named_and_mended(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    assert code_of("run") == 0, capsys.readouterr().out
    made = {name: shop.rows(name) for name in TABLES}
    whole = {shop.key(name): shop.read(shop.key(name)) for name in TABLES}
    for name, other in zip(TABLES, reversed(TABLES), strict=True):
        key = shop.key(name)
        kinds: dict[str, Callable[[], None]] = {
            "is missing": lambda key=key: shop.delete(key),
            r"has [\d,]+ bytes instead": lambda key=key: shop.write(key, whole[key][:100]),
            "is empty, instead of": lambda key=key: shop.write(key, b""),
            r"has other bytes than were published": lambda key=key: shop.write(key, flipped(whole[key])),
            r"has [\d,]+ bytes instead of": lambda key=key, other=other: shop.write(key, whole[shop.key(other)]),
        }
        for words, damage in kinds.items():
            damage()
            assert code_of("verify", "--table", name) == 1
            named = rf"Table {name}, month {MONTH}: the file s3://{shop.bucket}/{key} {words}"
            assert re.search(named, said := capsys.readouterr().out), said
            if name == "rfm_summary":
                # What reads it says so, in place of the store's or the engine's words.
                assert code_of("export", "--table", name, "--to", "rows.csv") == 4
                assert re.search(named, said := capsys.readouterr().err), said
        shop.delete(key)
    assert code_of("status") == 1
    said = capsys.readouterr().out
    assert all(f"Table {name}, month {MONTH}: the file" in said for name in TABLES)
    again(said, capsys)
    assert {name: shop.rows(name) for name in TABLES} == made

    for name in TABLES:
        shop.write(shop.entry(name), b"\x00torn")
    assert code_of("status") == 4
    assert re.search(r"The log of table raw_transactions .* Run cltv repair", capsys.readouterr().err)
    assert code_of("repair") == 0
    again(capsys.readouterr().out, capsys)
    shop.delete(shop.entry("rfm_summary"))
    assert code_of("status") == 1
    said = capsys.readouterr().out
    assert re.search(rf"Dagster recorded publication \d of rfm_summary of {MONTH}, and the table has", said)
    again(said, capsys)
    assert {name: shop.rows(name) for name in TABLES} == made
    assert code_of("verify") == 0, capsys.readouterr().out


def again(said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Carry out the one command that a message advises."""
    (command,) = re.findall(r"To make it again: cltv (.*)", said)
    assert code_of(*command.split()) == 0, capsys.readouterr().out
