"""Transactions in PostgreSQL and MariaDB, which these tests start."""

from __future__ import annotations

import logging
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from cltv_assets.cli import main
from cltv_assets.errors import SourceError
from cltv_assets.months import Month
from cltv_assets.settings import Settings
from cltv_assets.sources import TransactionSource, new_source
from cltv_assets_tests.cluster.server_process import ServerProcess, free_port
from cltv_assets_tests.production.local_deployment import postgres_program
from cltv_assets_tests.sources.conftest import COLUMNS, TODAY, landed

#: With characters that a URL escapes.
PASSWORD, ESCAPED = "s3cret/P@w", "s3cret%2FP%40w"

_ROWS = """insert into orders values
  ('before', 7, '2023-12-31 23:59:59', 1), ('first', 7, '2024-01-01 00:00:00', 2),
  ('end', 7, '2024-01-31 23:59:59.5', 2.5), ('leap', 8, '2024-02-29 12:00:00', 1234567.25),
  ('none', 8, null, 1), ('after', 7, '2024-06-01 00:00:00', 1)"""


def _as_user(name: str) -> list[str]:
    return ["setpriv", f"--reuid={name}", f"--regid={name}", "--clear-groups"] if os.geteuid() == 0 else []


def _folder(user: str) -> Path:
    folder = Path(tempfile.mkdtemp(prefix="cltv-database-"))
    if os.geteuid() == 0:
        shutil.chown(folder, pwd.getpwnam(user).pw_uid)
    return folder


@pytest.fixture(scope="module")
def postgresql() -> Iterator[str]:
    """Yield where a server of PostgreSQL answers, as host and port."""
    folder, port, owner = _folder("postgres"), free_port(), _as_user("postgres")
    data = str(folder / "data")
    subprocess.run([*owner, postgres_program("initdb"), "-D", data, "-U", "root", "-A", "trust"], check=True)
    (folder / "data" / "pg_hba.conf").write_text("local all all trust\nhost all all all scram-sha-256\n")
    command = [postgres_program("postgres"), "-D", data, "-p", str(port), "-h", "127.0.0.1", "-k", str(folder)]
    server = ServerProcess("postgres", [*owner, *command, "-c", "fsync=off"], folder)
    psql = [postgres_program("psql"), "-h", str(folder), "-p", str(port), "-U", "root", "-d", "postgres", "-qc"]
    try:
        ready = [postgres_program("pg_isready"), "-h", str(folder), "-p", str(port), "-q"]
        server.wait_until(lambda: subprocess.run(ready, check=False).returncode == 0, 60)
        for sql in (
            'create table orders (id text, customer bigint, "when" timestamptz, value numeric(12, 4))',
            _ROWS.replace("00'", "00+00'").replace("59'", "59+00'").replace("59.5'", "59.5+00'"),
            "insert into orders values ('ever', 7, 'infinity', 1)",
            'create table naive as select id, customer, "when" at time zone \'UTC\' as "when", value::money as value '
            "from orders",
            "create table secret as select * from orders",
            f"create user shop password '{PASSWORD}'",
            "grant select on orders, naive to shop",
            f"create user crm password '{PASSWORD}'",
            "create schema crm authorization crm",
        ):
            subprocess.run([*psql, sql], check=True)
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(20)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def mariadb() -> Iterator[str]:
    """Yield where a server of MariaDB answers, as host and port."""
    folder, port = _folder("mysql"), free_port()
    data, socket = f"--datadir={folder / 'data'}", f"--socket={folder / 'socket'}"
    user = ["--user=mysql"] if os.geteuid() == 0 else []
    install = ["mariadb-install-db", "--no-defaults", *user, data, "--auth-root-authentication-method=normal"]
    subprocess.run(install, check=True, stdout=subprocess.DEVNULL)
    command = ["/usr/sbin/mariadbd", "--no-defaults", *user, data, socket, f"--port={port}", "--bind-address=127.0.0.1"]
    server = ServerProcess("mariadb", [*command, f"--pid-file={folder / 'pid'}"], folder)
    client = ["mariadb", "--no-defaults", "-uroot", socket]
    try:
        ready = [*client, "-e", "select 1"]
        server.wait_until(lambda: subprocess.run(ready, check=False, capture_output=True).returncode == 0, 60)
        script = f"""create database shop; use shop; set time_zone = '+00:00';
            create table orders (id text, customer bigint, `when` timestamp(6) null, value decimal(12, 4));
            {_ROWS}; create table naive (id text, customer bigint, `when` datetime(6), value double);
            insert into naive select * from orders; create table secret as select * from orders;
            create user shop@'%' identified by '{PASSWORD}'; create user shop@localhost identified by '{PASSWORD}';
            grant select on shop.orders to shop@'%'; grant select on shop.naive to shop@'%';
            grant select on shop.orders to shop@localhost; grant select on shop.naive to shop@localhost;
            create database crm; create user crm@'%' identified by '{PASSWORD}';
            create user crm@localhost identified by '{PASSWORD}';
            grant all on crm.* to crm@'%'; grant all on crm.* to crm@localhost;"""
        subprocess.run(client, input=script.encode(), check=True)
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(20)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["postgresql", "mariadb"])
def address(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return a database's URL, which the variable SHOP holds."""
    where = request.getfixturevalue(request.param)
    url = f"{request.param}://shop:{ESCAPED}@{where}/{'shop' if request.param == 'mariadb' else 'postgres'}"
    monkeypatch.setenv("SHOP", url)
    return url


def opened(home: Path, **source: Any) -> TransactionSource:
    given = {"kind": "sql", "url_variable": "SHOP", "table": "orders", "columns": COLUMNS, **source}
    settings = {"source": given, "start_month": "2024-01", "home": home, "time_zone": "UTC"}
    return new_source(Settings.model_validate(settings), TODAY)


@pytest.mark.usefixtures("address")
@pytest.mark.parametrize("table", ["orders", "naive"])
def test_every_row_is_in_its_month_or_counted(tmp_path: Path, address: str, table: str) -> None:
    source = opened(tmp_path, table=table)
    january, february = (landed(source, month, tmp_path) for month in ("2024-01", "2024-02"))
    assert sorted(row["transaction_id"] for row in january) == ["end", "first", "none"]
    landing = source.land(Month.parse("2024-01"), tmp_path / "again")
    ever = int(address.startswith("postgres"))
    assert (landing.undatable, landing.before_first, landing.after_last) == (1, 1, 1 + ever)
    (leap,) = february
    zone = "+00:00" if table == "orders" else ""
    assert leap["transacted_at"] == f"2024-02-29 12:00:00{zone}"
    assert {row["transacted_at"] for row in january} >= {f"2024-01-31 23:59:59.500000{zone}"}
    assert leap["customer_id"] == "8"
    # Whole cents of the type money would be a hundred times as much.
    assert float(leap["amount"]) == 1234567.25
    assert "e" not in leap["amount"].lower()
    assert source.list_files() == source.list_files()
    source.close()


@pytest.mark.usefixtures("address")
@pytest.mark.parametrize(
    ("change", "says"),
    [
        # MariaDB does not tell a table that is missing from one that the user may not see.
        ({"table": "nothing"}, "There is no such table|Grant SELECT .* or correct source.table"),
        ({"table": "secret"}, "Grant SELECT"),
        ({"table": None, "query": "selec 1"}, "not valid SQL"),
        ({"table": None, "query": "select nope from orders"}, "There is no such column"),
        ({"columns": COLUMNS | {"amount": "valeu"}}, "did you mean 'value'"),
        ({"url_variable": "UNSET_SHOP"}, "UNSET_SHOP .* is not set"),
    ],
)
def test_what_is_wrong_is_said_without_the_password(
    tmp_path: Path, change: dict[str, Any], says: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(SourceError, match=says) as error:
        opened(tmp_path, **change).list_files()
    assert not _shown(f"{error.value}{caplog.text}")


@pytest.mark.parametrize(
    ("wrong", "right", "says"),
    [
        ("s3cret", "s3cret%2FP%40w2", "password is not accepted"),
        ("127.0.0.1:", "127.0.0.1:1", "does not answer|cannot be read"),
        ("://", ":/", "is of no known database"),
        ("?", "?passwort=x", "cannot be read|not accepted|no such|answer"),
    ],
)
def test_a_wrong_url_is_not_shown(
    tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch, wrong: str, right: str, says: str
) -> None:
    monkeypatch.setenv("SHOP", address.replace(wrong, right) if wrong in address else address + right)
    if wrong == "?" and address.startswith("mariadb"):
        return
    with pytest.raises(SourceError, match=says) as error:
        opened(tmp_path).list_files()
    assert not _shown(str(error.value))


def _shown(text: str) -> bool:
    return "s3cret" in text or "P@w" in text


def test_init_looks_at_a_table_of_a_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], address: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as end:
        main(["init", "--url-variable", "SHOP", "--table", "naive"])
    assert end.value.code == 0
    said = yaml.safe_load(Path("cltv.yaml").read_text())["source"]
    assert (said["url_variable"], said["table"]) == ("SHOP", "naive")
    assert said["columns"].items() >= {"transaction_id": "id", "customer_id": "customer", "amount": "value"}.items()
    output = capsys.readouterr()
    assert not _shown(f"{output.out}{output.err}{Path('cltv.yaml').read_text()}")
    assert address not in output.out


@pytest.mark.usefixtures("address")
def test_a_query_cannot_write(tmp_path: Path) -> None:
    for query in ("delete from orders", "select 1) as x; drop table orders; --"):
        with pytest.raises(SourceError):
            opened(tmp_path, table=None, query=query).list_files()
    assert len(opened(tmp_path).list_files()) == 6


@pytest.mark.parametrize("right", [True, False])
def test_the_password_is_in_no_file_of_a_run(tmp_path: Path, postgresql: str, right: bool) -> None:
    columns = "{transaction_id: id, customer_id: customer, transacted_at: when, amount: value}"
    source = f"{{kind: sql, url_variable: SHOP, table: orders, columns: {columns}}}"
    (tmp_path / "cltv.yaml").write_text(f"start_month: 2024-01\nend_month: 2024-01\nsource: {source}\n")
    url = f"postgresql://shop:{ESCAPED}{'' if right else '2'}@{postgresql}/postgres"
    command = [sys.executable, "-c", "from cltv_assets.cli import main; main()", "run"]
    run = subprocess.run(
        command,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "SHOP": url},
        capture_output=True,
        text=True,
        check=False,
    )
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.is_relative_to(tmp_path / "lake/raw_transactions") for path in files) == right
    assert ("password is not accepted" in run.stdout + run.stderr) != right
    # Dagster's events are in SQLite files, and its logs are text. Without a source no run begins.
    assert any(b"raw_transactions" in path.read_bytes() for path in files if path.suffix == ".db") == right
    shown = [path for path in files if any(word in path.read_bytes() for word in (b"s3cret", b"P@w", b"P%40w"))]
    assert not shown
    assert not _shown(run.stdout + run.stderr)
