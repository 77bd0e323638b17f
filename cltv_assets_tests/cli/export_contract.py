"""What an export into a table of a database must do, for any database."""

from __future__ import annotations

import datetime as dt
import random
import threading
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from cltv_assets.cli.export_databases import Changes, write_table
from cltv_assets.errors import ConfigError

SCHEMA = pa.schema(
    [
        ("customer_id", pa.string()),
        ("value", pa.decimal128(18, 4)),
        ("orders", pa.int64()),
        ("decile", pa.int32()),
        ("p_alive", pa.float64()),
        ("repeat", pa.bool_()),
        ("next_order", pa.date32()),
        ("segment", pa.string()),
    ]
)
#: Ids that differ by case, and texts that a careless statement would break.
CUSTOMERS: dict[str, dict[str, Any]] = {
    name: {
        "value": Decimal("1234567.8901"), "orders": 2**40, "decile": 1, "p_alive": 0.1 + 0.2, "repeat": True,
        "next_order": dt.date(2011, 7, 1), "segment": "at risk",
    }
    for name in ("a", "A", "O'Brien", "semi;colon -- x", 'quo"ted', "ünïcode ☃", "%s", "back\\slash")
}  # fmt: skip

#: Sends a query and returns its rows.
Ask = Callable[[str], list[tuple[Any, ...]]]


def export(to: str, customers: dict[str, dict[str, Any]], schema: pa.Schema = SCHEMA, **options: Any) -> Changes:
    rows = [{"customer_id": name, **row} for name, row in customers.items()]
    random.Random(4).shuffle(rows)
    table = pa.Table.from_pylist(rows, schema=schema)
    given = {"delete_missing": False, "password_variable": "CRM_PASSWORD"} | options
    return write_table(to, "scores", table.to_reader(max_chunksize=3), ["customer_id"], **given)


class ExportContract:
    """A subclass gives ``target``, the address without a table, and ``ask``, which asks the same database."""

    def rows(self, ask: Ask, table: str = "scores") -> dict[str, tuple[Any, ...]]:
        listed = "customer_id, value, orders, decile, p_alive, next_order, segment"
        # One driver gives exact numbers as text.
        return {
            name: (None if value is None else Decimal(value), *others)
            for name, value, *others in ask(f"SELECT {listed} FROM {table}")
        }

    def test_a_new_table_holds_every_value(self, target: str, ask: Ask) -> None:
        assert export(target, CUSTOMERS) == Changes(len(CUSTOMERS), 0, 0, 0, 0)
        found = self.rows(ask)
        assert found.keys() == CUSTOMERS.keys()
        names = ("value", "orders", "decile", "p_alive", "next_order", "segment")
        assert found["O'Brien"] == tuple(CUSTOMERS["O'Brien"][name] for name in names)

    def test_only_what_changed_is_written(self, target: str, ask: Ask) -> None:
        export(target, CUSTOMERS)
        now = {name: dict(row) for name, row in CUSTOMERS.items()}
        now["a"]["segment"] = "AT RISK"
        now["A"]["value"] = None
        now["%s"]["p_alive"] = 0.3
        del now["O'Brien"]
        now["new"] = dict.fromkeys(CUSTOMERS["a"]) | {"orders": 1}
        assert export(target, now) == Changes(1, 3, len(CUSTOMERS) - 4, 0, 1)
        found = self.rows(ask)
        assert found.keys() == now.keys() | {"O'Brien"}
        assert (found["a"][5], found["A"][0], found["%s"][3], found["new"][0]) == ("AT RISK", None, 0.3, None)
        # A null that is still one has not changed, and the same rows again change nothing.
        assert export(target, now) == Changes(0, 0, len(now), 0, 1)
        assert export(target, now, delete_missing=True) == Changes(0, 0, len(now), 1, 0)
        assert self.rows(ask).keys() == now.keys()

    def test_some_columns_leave_the_others(self, target: str, ask: Ask) -> None:
        export(target, CUSTOMERS)
        two = pa.schema([SCHEMA.field("customer_id"), SCHEMA.field("segment")])
        assert export(target, {"a": {"segment": "lost"}, "b": {"segment": "lost"}}, two).changed == 1
        found = self.rows(ask)
        assert found["a"] == (*self.as_given("a")[:-1], "lost")
        assert found["b"] == (None,) * 5 + ("lost",)
        # Ids alone insert who is new.
        ids = pa.schema([SCHEMA.field("customer_id")])
        assert export(target, {"a": {}, "c": {}}, ids) == Changes(1, 0, 1, 0, len(CUSTOMERS))

    def as_given(self, name: str) -> tuple[Any, ...]:
        row = CUSTOMERS[name]
        return tuple(row[column] for column in ("value", "orders", "decile", "p_alive", "next_order", "segment"))

    def test_a_failure_changes_nothing(self, target: str, ask: Ask) -> None:
        export(target, CUSTOMERS)
        before = self.rows(ask)
        other = pa.schema([SCHEMA.field("customer_id"), ("colour", pa.string())])
        with pytest.raises(ConfigError, match="no column colour"):
            export(target, {"a": {"colour": "red"}}, other)
        # The rows break off after the first ones were sent.
        rows = pa.Table.from_pylist([{"customer_id": "x", "segment": "lost"}], schema=SCHEMA).to_batches()

        def breaking():
            yield from rows
            raise OSError("the lake is away")

        reader = pa.RecordBatchReader.from_batches(SCHEMA, breaking())
        with pytest.raises((OSError, ConfigError), match="the lake is away"):
            write_table(
                target, "scores", reader, ["customer_id"], delete_missing=True, password_variable="CRM_PASSWORD"
            )
        with pytest.raises(ConfigError, match="would empty the table"):
            export(target, {}, delete_missing=True)
        assert self.rows(ask) == before

    def test_a_table_is_named_in_the_address(self, target: str, ask: Ask) -> None:
        export(f"{target}/others", {"a": CUSTOMERS["a"]})
        assert self.rows(ask, "others").keys() == {"a"}
        for name in ("a-b", "x;drop table scores", 'a"b', "a.b.c"):
            with pytest.raises(ConfigError, match="letters, digits and underscores"):
                export(f"{target}/{name}", CUSTOMERS)


def both_at_once(to: str) -> list[Changes]:
    """Export the same new customers from two threads."""
    found: list[Changes] = []
    threads = [threading.Thread(target=lambda: found.append(export(to, CUSTOMERS))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found
