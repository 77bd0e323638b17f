"""Exports into PostgreSQL and MariaDB, which these tests start."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

import adbc_driver_postgresql.dbapi as adbc
import pymysql
import pytest

from cltv_assets.errors import ConfigError
from cltv_assets_tests.cli.export_contract import CUSTOMERS, Ask, ExportContract, both_at_once, export
from cltv_assets_tests.production.test_databases import PASSWORD
from cltv_assets_tests.production.test_databases import mariadb as mariadb
from cltv_assets_tests.production.test_databases import postgresql as postgresql


@pytest.fixture(autouse=True)
def _password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRM_PASSWORD", PASSWORD)


class TestPostgreSQL(ExportContract):
    @pytest.fixture
    def ask(self, postgresql: str) -> Iterator[Ask]:
        with adbc.connect(
            f"postgresql://crm:{quote(PASSWORD, safe='')}@{postgresql}/postgres", autocommit=True
        ) as connection:

            def ask(sql: str) -> list[tuple]:
                with connection.cursor() as cursor:
                    cursor.execute(sql)
                    return [] if sql.startswith("DROP") else cursor.fetchall()

            ask("DROP TABLE IF EXISTS crm.scores")
            ask("DROP TABLE IF EXISTS crm.others")
            yield ask

    @pytest.fixture
    def target(self, ask: Ask, postgresql: str) -> str:
        # A user's schema of the same name is where names without a schema are looked for first.
        return f"postgresql://crm@{postgresql}/postgres"

    def test_two_exports_at_once_insert_a_customer_once(self, target: str, ask: Ask) -> None:
        export(target, {"first": CUSTOMERS["a"]})
        found = both_at_once(target)
        assert sorted(one.inserted for one in found) == [0, len(CUSTOMERS)]
        assert ask("SELECT count(*), count(DISTINCT customer_id) FROM scores") == [(9, 9)]

    def test_a_schema_is_part_of_the_name(self, target: str, ask: Ask) -> None:
        export(f"{target}/crm.others", CUSTOMERS)
        assert self.rows(ask, "crm.others").keys() == CUSTOMERS.keys()

    def test_who_may_not_is_told_without_the_password(self, target: str, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(ConfigError, match="denied"):
            export(f"{target}/public.scores", CUSTOMERS)
        monkeypatch.setenv("CRM_PASSWORD", "wr0ng/secret")
        with pytest.raises(ConfigError, match="refuses") as caught:
            export(target, CUSTOMERS)
        assert "wr0ng" not in str(caught.value)
        assert "CRM_PASSWORD" in str(caught.value)


class TestMariaDB(ExportContract):
    @pytest.fixture
    def ask(self, mariadb: str) -> Iterator[Ask]:
        host, _, port = mariadb.partition(":")
        connection = pymysql.connect(
            host=host, port=int(port), user="crm", password=PASSWORD, database="crm", autocommit=True
        )
        with connection:

            def ask(sql: str) -> list[tuple]:
                with connection.cursor() as cursor:
                    cursor.execute(sql)
                    return list(cursor.fetchall())

            ask("DROP TABLE IF EXISTS scores, others")
            yield ask

    @pytest.fixture
    def target(self, ask: Ask, mariadb: str) -> str:
        return f"mysql://crm@{mariadb}/crm"

    def test_two_exports_at_once_insert_a_customer_once(self, target: str, ask: Ask) -> None:
        export(target, {"first": CUSTOMERS["a"]})
        found = both_at_once(target)
        assert sorted(one.inserted for one in found) == [0, len(CUSTOMERS)]
        assert ask("SELECT count(*), count(DISTINCT customer_id) FROM scores") == [(9, 9)]

    def test_who_may_not_is_told_without_the_password(self, target: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CRM_PASSWORD", "wr0ng/secret")
        with pytest.raises(ConfigError, match="refuses") as caught:
            export(target, CUSTOMERS)
        assert "wr0ng" not in str(caught.value)
