"""What the doctor says of deliveries that can be read and mean something else."""

from __future__ import annotations

import csv
import itertools
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from cltv_assets.cli.doctor import State
from cltv_assets.cli.doctor.delivery import look_at_source
from cltv_assets.settings import Settings

COLUMNS = {"transaction_id": "order", "customer_id": "who", "transacted_at": "day", "amount": "total"}
PRICED = {name: there for name, there in COLUMNS.items() if name != "amount"} | {"unit_price": "total"}
Row = dict[str, str]


def shop() -> list[Row]:
    """Return lines of sixty orders, two lines each, of thirty customers, that are what they seem."""
    rng = random.Random(7)
    rows = []
    for order in range(60):
        day = f"2024-0{1 + order % 3}-{1 + order % 28:02} {8 + order % 12:02}:15:00"
        for _ in range(2):
            amount = f"{rng.randint(500, 9000) / 100:.2f}"
            rows.append({"order": str(1000 + order), "who": f"C{order % 30:02}", "day": day, "total": amount})
    return rows


def said_of(folder: Path, files: dict[str, list[Row]], source: dict[str, Any], **changes: Any) -> dict[str, str]:
    """Return the doctor's findings of CSV files that are not in order, by name."""
    for name, rows in files.items():
        with (folder / name).open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
    values: dict[str, Any] = {
        "source": {"kind": "csv", "path": "*.csv", "columns": COLUMNS, **source},
        "start_month": "2024-01",
        "end_month": "2024-03",
        "home": folder,
    }
    found = look_at_source(Settings.model_validate(values | changes))
    return {finding.name: finding.text for finding in found if finding.state is not State.OK}


def everywhere(**fields: Callable[[Row, int], str]) -> list[Row]:
    """Return the shop's lines with fields changed or added, from the line and its number."""
    return [{**row, **{name: change(row, n) for name, change in fields.items()}} for n, row in enumerate(shop())]


def test_nothing_is_said_of_a_shop_that_is_what_it_seems(tmp_path: Path) -> None:
    assert said_of(tmp_path, {"a.csv": shop()}, {}) == {}


def test_what_is_kept_beside_the_settings_is_named(tmp_path: Path) -> None:
    rows = everywhere(mail=lambda row, _: f"{row['who']}@x.com", gift=lambda *_: "yes")
    said_of(tmp_path, {"a.csv": rows}, {})
    source: dict[str, Any] = {"kind": "csv", "path": "a.csv", "columns": COLUMNS}
    values = {"source": source, "start_month": "2024-01", "end_month": "2024-03", "home": tmp_path}
    shown = next(look_at_source(Settings.model_validate(values)))
    assert "kept in other_columns: mail, gift (source.keep_other_columns)" in shown.text
    source["keep_other_columns"] = False
    assert "kept in" not in next(look_at_source(Settings.model_validate(values))).text


@pytest.mark.parametrize("kind", ["csv", "sql"])
def test_lines_outside_the_months_are_counted(tmp_path: Path, kind: str) -> None:
    said_of(tmp_path, {"a.csv": shop()}, {})
    source: dict[str, Any] = {"kind": "csv", "path": "a.csv", "columns": COLUMNS}
    if kind == "sql":
        with duckdb.connect(str(tmp_path / "shop.db")) as connection:
            connection.execute(f"create table orders as select * from read_csv('{tmp_path}/a.csv')")
        source |= {"kind": "sql", "path": "shop.db", "table": "orders"}
    for months, says in (
        (("2024-01", "2024-02"), "40 lie after 2024-02 and are left out"),
        (("2024-02", "2024-03"), "40 lie before start_month 2024-02 and are left out"),
    ):
        values = {"source": source, "start_month": months[0], "end_month": months[1], "home": tmp_path}
        finding = next(look_at_source(Settings.model_validate(values)))
        assert finding.text.endswith(says)
        assert finding.text.count("left out") == 1


def order_total(row: Row, _n: int) -> str:
    return f"{int(row['order']) % 97}.50"


#: How the delivery differs, the settings, which check says it, and what it says.
FAULTS: list[tuple[list[Row], dict[str, Any], str, tuple[str, ...]]] = [
    (everywhere(who=lambda r, n: f"4.7100{n % 25:02}E+12"), {}, "customer_ids", ("exponents", "4.710000E+12")),
    (
        everywhere(who=lambda r, n: "GUEST" if n % 9 == 0 else r["who"]),
        {},
        "customer_ids",
        ("'GUEST'", "source.missing_values"),
    ),
    (
        [*shop(), {**shop()[8], "order": "1", "who": "ZZ", "total": "9000.00"}],
        {},
        "customer_ids",
        ("One customer has 62%", "checks.customer_share", "line 122: 'ZZ'"),
    ),
    (
        everywhere(who=lambda r, n: r["who"].lower() if n % 5 == 0 else r["who"]),
        {},
        "customer_ids",
        ("upper and lower case", "casefold"),
    ),
    (everywhere(who=lambda r, n: f"{n % 30:05}" if n % 2 else str(n % 30 - 1)), {}, "customer_ids", ("zeros",)),
    (everywhere(total=order_total), {}, "read_as_meant", ("60 of 60 orders", "source.amount_level: order")),
    (
        [{name: text for name, text in row.items() if name != "order"} for row in everywhere(total=order_total)],
        {"columns": {name: there for name, there in COLUMNS.items() if name != "transaction_id"}},
        "read_as_meant",
        ("orders with several lines", "source.amount_level: order if it is, and source.columns.transaction_id"),
    ),
    (
        everywhere(total=lambda r, n: "" if n % 6 == 0 else r["total"]),
        {},
        "lost_value",
        ("invalid_amount 20", "stands on another line of the order: set source.amount_level: order"),
    ),
    (
        everywhere(total=lambda r, n: "" if n % 6 == 0 else r["total"], SH=lambda r, n: "H" if n % 6 == 0 else "S"),
        {"sign": {"column": "SH", "refund": "H"}},
        "lost_value",
        ("The amount is empty there: leave such lines out by source.where",),
    ),
    (
        everywhere(total=lambda r, n: "" if n % 6 < 2 else r["total"]),
        {},
        "lost_value",
        ("invalid_amount 40", "The amount is empty there: leave such lines out by source.where"),
    ),
    (
        everywhere(unit=lambda r, n: "EUR" if n % 3 == 0 else "USD"),
        {"columns": {**COLUMNS, "currency": "unit"}},
        "lost_value",
        ("40 of 120 lines are not in USD (33.3%)", "source.query"),
    ),
    (
        everywhere(who=lambda r, n: ("Walk-in Customer" if n % 2 else "guest@shop.com") if n % 9 == 0 else r["who"]),
        {},
        "customer_ids",
        ("2 ids look like nobody's", ": 'Walk-in Customer'", ": 'guest@shop.com'"),
    ),
    (everywhere(total=lambda r, n: f"{n + 1}.{100 + 7 * n:03}"), {}, "read_as_meant", ("decimal_separator: ','",)),
    (
        # A shop without cents, of which few lines reach a thousand.
        everywhere(total=lambda r, n: f"1.{231 + n}" if n % 30 == 0 else str(100 + 7 * n)),
        {},
        "read_as_meant",
        ("have three (4 of 4)", "decimal_separator: ','"),
    ),
    (
        everywhere(pieces=lambda r, n: f"{1 + n % 3},000"),
        {"columns": PRICED | {"quantity": "pieces"}},
        "read_as_meant",
        ("source.columns.quantity have three digits behind a ',' and count", "decimal_separator: ','"),
    ),
    (
        everywhere(who=lambda r, n: "\uff23" + r["who"][1:] if n % 7 == 0 else r["who"]),
        {},
        "customer_ids",
        ("Some ids may stand for others", "customer_id_folding: [trim, nfkc]"),
    ),
    (
        everywhere(note=lambda r, n: "two\nlines" if n % 10 == 0 else ""),
        {},
        "read_whole",
        ("12 lines beside 120 lie inside quoted fields", "source.quoting: none"),
    ),
    (
        everywhere(day=lambda r, n: f"{1 + n % 3:02}/{1 + n % 12:02}/2024"),
        {"timestamp_format": "%d/%m/%Y"},
        "read_as_meant",
        ("No day is later than the 12th",),
    ),
    (
        everywhere(total=lambda r, n: "~" + r["total"] if n % 20 == 0 else r["total"]),
        {},
        "lost_value",
        ("6 of 120 lines cannot be read", "invalid_amount 6", "a.csv, line 2: '~"),
    ),
    (
        # Few lines, and most of the money.
        everywhere(total=lambda r, n: "1e5" if n == 3 else ("99,99,9" if n == 4 else r["total"])),
        {},
        "lost_value",
        ("2 of 120 lines", "% of the value"),
    ),
    (everywhere(who=lambda r, n: "" if n % 2 else r["who"]), {}, "lost_value", ("60 lines have no customer",)),
    (
        everywhere(cost=lambda r, n: "tbc" if n % 5 == 0 else "3.00"),
        {"columns": {**COLUMNS, "cost": "cost"}},
        "read_as_meant",
        ("24 purchase lines", "have no number in source.columns.cost: cost", ": 'tbc'"),
    ),
    (
        everywhere(cost=lambda r, n: "-3.00"),
        {"columns": {**COLUMNS, "cost": "cost"}},
        "read_as_meant",
        ("In 120 of 120 lines the margin exceeds the amount", "minus sign"),
    ),
    (
        everywhere(cost=lambda r, n: str(round(float(r["total"]) * 60))),
        {"columns": {**COLUMNS, "cost": "cost"}},
        "read_as_meant",
        ("Costs are 6000% of the spend", "source.scale"),
    ),
    (
        everywhere(Status=lambda r, n: "failed" if n % 6 == 0 else "paid"),
        {},
        "unused_columns",
        ("'Status' holds paid 100, failed 20", "count_status"),
    ),
    (
        everywhere(SH=lambda r, n: "H" if n % 10 == 0 else "S"),
        {},
        "unused_columns",
        ("source.sign: {column: SH, refund: ['H']}",),
    ),
    (
        everywhere(**{"Refunded Amount": lambda r, n: "5.00" if n % 10 == 0 else "0.00"}),
        {},
        "unused_columns",
        ("'Refunded Amount' has an amount in 12 of 120 lines", "refund_amount"),
    ),
    (
        everywhere(**{"Cancelled at": lambda r, n: "2024-02-01" if n % 10 == 0 else ""}),
        {},
        "unused_columns",
        ("filled in 12 of 120 lines", "empty: true"),
    ),
    (
        everywhere(État=lambda r, n: "Annulé" if n % 10 == 0 else "Paiement accepté"),
        {},
        "unused_columns",
        ("'Annulé' look like no sales", "source.columns.status: État", "['Paiement accepté']"),
    ),
    (
        everywhere(Stage=lambda r, n: "Closed Lost" if n % 10 == 0 else "Closed Won"),
        {},
        "unused_columns",
        ("'Closed Lost' look like no sales", "['Closed Won']"),
    ),
    (
        everywhere(Voided=lambda r, n: "TRUE" if n % 10 == 0 else "FALSE"),
        {},
        "unused_columns",
        ("source.where: {Voided: {not: ['TRUE']}}",),
    ),
    (
        everywhere(Paid=lambda r, n: "no" if n % 10 == 0 else "yes"),
        {},
        "unused_columns",
        ("source.where: {Paid: {not: ['no']}}",),
    ),
    (
        everywhere(type=lambda r, n: ("RETURN" if n % 10 == 0 else "FEE") if n % 5 == 0 else "SALE"),
        {},
        "unused_columns",
        ("source.sign: {column: type, refund: ['RETURN']} and source.where: {type: {not: ['FEE']}}",),
    ),
    (
        everywhere(**{"Valor Reembolsado": lambda r, n: "5.00" if n % 10 == 0 else "-"}),
        {},
        "unused_columns",
        ("has an amount in 12 of 120 lines", "source.columns.refund_amount: Valor Reembolsado"),
    ),
    (
        [
            {**row, "Money Out": row["total"] if n == 9 else "", "total": "" if n == 9 else row["total"]}
            for n, row in enumerate(everywhere())
        ],
        {},
        "unused_columns",
        ("'Money Out' has an amount in 1 of 120 lines", "source.columns.refund_amount: Money Out"),
    ),
    (everywhere(Currency=lambda r, n: "eur" if n % 10 == 0 else "usd"), {}, "unused_columns", ("not only USD",)),
]  # fmt: skip


@pytest.mark.parametrize(("rows", "source", "name", "said"), FAULTS, ids=[f"{f[2]}-{f[3][0][:20]}" for f in FAULTS])
def test_a_delivery_that_means_something_else_is_a_finding_with_its_setting(
    tmp_path: Path, rows: list[Row], source: dict[str, Any], name: str, said: tuple[str, ...]
) -> None:
    found = said_of(tmp_path, {"a.csv": rows}, source)
    assert list(found) == [name]
    for words in said:
        assert words in found[name]


def test_a_column_that_does_not_matter_is_named_once(tmp_path: Path) -> None:
    rows = everywhere(Status=lambda r, n: "failed" if n % 6 == 0 else "paid")
    assert said_of(tmp_path, {"a.csv": rows}, {"not_needed": ["Status"]}) == {}
    assert said_of(tmp_path, {"a.csv": rows}, {"where": {"Status": "paid"}}) == {}


def test_times_in_utc_of_a_shop_elsewhere(tmp_path: Path) -> None:
    rows = everywhere(day=lambda r, n: f"{r['day'][:11]}{(n * 7) % 24:02}:30:00")
    found = said_of(tmp_path, {"a.csv": rows}, {}, time_zone="America/New_York")
    assert "at night (0 to 6 h) in America/New_York" in found["read_as_meant"]
    assert said_of(tmp_path, {"a.csv": rows}, {"time_zone": "UTC"}, time_zone="America/New_York") == {}
    zoned = everywhere(day=lambda r, n: f"{r['day'][:11]}{(n * 7) % 24:02}:30:00-05:00")
    assert said_of(tmp_path, {"a.csv": zoned}, {}, time_zone="America/New_York") == {}


def test_days_without_a_time_are_not_at_night_when_clocks_change(tmp_path: Path) -> None:
    # The 29th of October 2023 had 25 hours; a sample has lines of winter, too.
    dates = itertools.cycle(["2023-10-02", "2023-10-30", "2023-10-31", "2023-08-01"])
    rows = everywhere(day=lambda r, n: next(dates))
    months = {"start_month": "2023-08", "end_month": "2023-10", "time_zone": "Europe/Berlin"}
    assert "at night" not in str(said_of(tmp_path, {"a.csv": rows}, {}, **months))


def test_the_same_export_twice_and_exports_that_overlap(tmp_path: Path) -> None:
    rows = shop()
    twice = said_of(tmp_path, {"a.csv": rows, "b.csv": rows}, {})
    assert "60 of 60 orders are in more than one file" in twice["delivered_once"]
    overlap = said_of(tmp_path, {"a.csv": rows[:80], "b.csv": rows[60:]}, {})
    assert "10 of 60 orders" in overlap["delivered_once"]
    assert said_of(tmp_path, {"a.csv": rows[:80], "b.csv": rows[60:]}, {"duplicates": "drop_across_files"}) == {}


def test_an_order_that_a_later_export_has_with_another_state(tmp_path: Path) -> None:
    first = everywhere(state=lambda r, n: "paid")
    later = everywhere(state=lambda r, n: "cancelled" if n in (20, 21) else "paid")
    source = {"columns": {**COLUMNS, "status": "state"}, "count_status": "paid", "duplicates": "drop_across_files"}
    found = said_of(tmp_path, {"a.csv": first, "b.csv": later}, source)
    assert list(found) == ["delivered_once"]
    assert "1 of 60 orders are in several files with other lines, amounts or states" in found["delivered_once"]
    assert "; the files are a.csv to b.csv" in found["delivered_once"]
    assert said_of(tmp_path, {"a.csv": first, "b.csv": first}, source) == {}


def test_a_refund_in_a_later_file_is_no_other_state_of_its_order(tmp_path: Path) -> None:
    refund = [{**shop()[0], "day": "2024-03-30 09:00:00", "total": "-5.00"}]
    assert said_of(tmp_path, {"a.csv": shop(), "b.csv": refund}, {"duplicates": "drop_across_files"}) == {}


def test_a_state_that_only_an_older_file_has(tmp_path: Path) -> None:
    rows = everywhere(Voided=lambda r, n: "true" if n == 5 else "false")
    files = {"a.csv": rows[:40], "b.csv": rows[40:80], "c.csv": [{**row, "new": "1"} for row in rows[80:]]}
    assert "holds false 119, true 1" in said_of(tmp_path, files, {})["unused_columns"]


def test_a_list_in_each_object_hides_no_other_column(tmp_path: Path) -> None:
    rows = everywhere(status=lambda r, n: "failed" if n % 6 == 0 else "paid")
    (tmp_path / "a.jsonl").write_text("".join(json.dumps({**row, "items": [{"id": 1}]}) + "\n" for row in rows))
    values: dict[str, Any] = {
        "source": {"kind": "jsonl", "path": "a.jsonl", "columns": COLUMNS},
        "start_month": "2024-01",
        "end_month": "2024-03",
        "home": tmp_path,
    }
    found = {finding.name: finding.text for finding in look_at_source(Settings.model_validate(values))}
    assert "'failed' look like no sales" in found["unused_columns"]


def test_a_delivery_that_would_block_every_month_fails(tmp_path: Path) -> None:
    rows = everywhere(total=lambda r, n: "?" if n % 3 else r["total"])
    found = said_of(tmp_path, {"a.csv": rows}, {})
    assert "80 of 120 lines are rejected" in found["reject_share"]


def test_lines_that_the_settings_leave_out_block_nothing(tmp_path: Path) -> None:
    rows = everywhere(kind=lambda r, n: "purchase" if n % 4 == 0 else "view")
    assert said_of(tmp_path, {"a.csv": rows}, {"where": {"kind": "purchase"}}) == {}


def test_lines_inside_quoted_fields_are_counted(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(
        'order,who,day,total,note\n1,a,2024-01-05,5,"two\nmore\nlines"\n2,b,2024-01-06,6,x\n'
    )
    values = {
        "source": {"kind": "csv", "path": "*.csv", "columns": COLUMNS},
        "start_month": "2024-01",
        "home": tmp_path,
    }
    found, whole, *_ = look_at_source(Settings.model_validate(values | {"end_month": "2024-01"}))
    assert "of 2 lines 0 have no usable date" in found.text
    assert "2 lines beside 2 lie inside quoted fields of others" in whole.text


def test_files_that_are_not_read_are_named(tmp_path: Path) -> None:
    (tmp_path / "march.CSV.bak").write_text("a note of somebody's")
    (tmp_path / "march.xlsx").write_text("a workbook beside the exports")
    found = said_of(tmp_path, {"a.csv": shop()}, {"path": str(tmp_path)})
    assert "place: march.xlsx." in found["read_whole"]


def test_visits_are_judged_by_their_lines(tmp_path: Path) -> None:
    source = {"columns": {"customer_id": "who", "transacted_at": "day"}, "amounts": "none"}
    assert said_of(tmp_path, {"a.csv": shop()}, source) == {}
    # Every second visit is that of the gate's own card; one in ten has none.
    odd = everywhere(who=lambda row, n: "C00" if n % 2 else ("" if n % 10 == 0 else row["who"]))
    said = said_of(tmp_path, {"a.csv": odd}, source, checks={"missing_customer_share": 0.05})
    assert "One customer has 5" in said["customer_ids"]
    assert "% of the lines" in said["customer_ids"]
    assert "lines have no customer (10.0%): see whether" in said["lost_value"]
