"""What ``cltv init`` proposes for files of usual shapes."""

from __future__ import annotations

import datetime as dt
import gzip
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import duckdb
import openpyxl
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
import yaml
from deltalake import write_deltalake

from cltv_assets.cli import main
from cltv_assets.errors import SourceError
from cltv_assets.settings import Settings
from cltv_assets.sources.proposal import propose
from cltv_assets.sources.proposing import formats_together

_SHOPIFY = """Name,Email,Financial Status,Currency,Total,Created at,Lineitem quantity,Lineitem price,Refunded Amount,Id
#2,A@x.com,paid,EUR,30.00,2024-02-03 10:00:00 +0100,1,10.00,0.00,6002
#2,A@x.com,,,,2024-02-03 10:00:00 +0100,2,10.00,,
#1,b@x.com,voided,EUR,5.00,2024-01-02 10:00:00 +0100,1,5.00,0.00,6001
"""
_SAP = """Belegnr;Belegdatum;Kunde;Name;Nettowert;Währung
1;13.01.2024;07;Müller;1.028,00;EUR
1;13.01.2024;07;Müller;-2,50;EUR
"""
_EVENTS = "event_time,event_type,price,user_id,user_session\n" + "".join(
    f"2024-01-01 12:18:44 UTC,{event},14.00,5{at},s{at}\n" for at, event in enumerate(("view", "cart", "purchase"))
)
_LISTING = 'order-id\tpurchase-date\titem-price\tbuyer-email\titem\n1\t2024-01-02\t5.00\ta@x.com\t3" nail\n'

_PIECES = "Invoice,Client ID,Order Date,Qty,{},Colour\n1,a,2024-01-02,2,5.00,{}red\n1,a,2024-01-02,1,3.00,{}blue\n"

_COMMON = {"transaction_id", "customer_id", "transacted_at"}


@pytest.mark.parametrize(
    ("name", "text", "encoding", "proposed"),
    [
        (
            "shopify.csv",
            _SHOPIFY,
            "utf-8",
            {"count_status": ["paid"], "fill_down": ["Financial Status"], "amount_level": "order"}
            | {"customer_id_folding": ["trim", "nfc", "casefold"]},
        ),
        (
            "sap.csv",
            _SAP,
            "cp1252",
            {"delimiter": ";", "encoding": "cp1252", "decimal_separator": ",", "timestamp_format": "%d.%m.%Y"},
        ),
        ("events.csv", _EVENTS, "utf-8", {"where": {"event_type": ["purchase"]}}),
        ("report.txt", _LISTING, "utf-8", {"delimiter": "\t", "quoting": "none"}),
    ],
)
def test_settings_follow_from_names_and_values(
    tmp_path: Path, name: str, text: str, encoding: str, proposed: dict[str, object]
) -> None:
    (tmp_path / name).write_text(text, encoding=encoding)
    settings = yaml.safe_load(propose(str(tmp_path / name)))
    columns = settings["source"].pop("columns")
    assert columns.keys() >= _COMMON
    ignored = ("kind", "path", "customer_id_folding")
    found = {key: value for key, value in settings["source"].items() if key in proposed or key not in ignored}
    assert found == proposed
    assert settings["start_month"] == "2024-01"
    Settings.model_validate({"home": str(tmp_path), **settings, "source": {**settings["source"], "columns": columns}})


def init(*arguments: str) -> object:
    with pytest.raises(SystemExit) as end:
        main(["init", *arguments])
    return end.value.code


def columns_of(file: Path) -> tuple[dict[str, object], dict[str, object]]:
    """Return the proposed columns, and the other settings of the source."""
    source = yaml.safe_load(propose(str(file)))["source"]
    return source.pop("columns"), source


def test_names_that_no_table_knows_are_told_by_their_words_and_values(tmp_path: Path) -> None:
    file = tmp_path / "pedidos.csv"
    file.write_text(
        "Nº do Pedido,CPF,Data da compra,Status do pedido,Frete Total,Valor Total,Valor Reembolsado\n"
        "1,7,13/01/2024,Concluído,5,R$ 10,-\n2,8,14/01/2024,Devolvido,5,R$ 20,R$ 20\n"
        "3,8,15/01/2024,Cancelado,5,R$ 9,-\n"
    )
    columns, source = columns_of(file)
    assert columns == {
        "transaction_id": "Nº do Pedido",
        "customer_id": "CPF",
        "transacted_at": "Data da compra",
        "amount": "Valor Total",
        "status": "Status do pedido",
        "refund_amount": "Valor Reembolsado",
    }
    assert source["count_status"] == ["Concluído", "Devolvido"]
    assert "\ncurrency: BRL" in propose(str(file))
    assert "amount: Valor Total  # ? by its name" in propose(str(file))


def test_an_export_of_a_german_shop_is_proposed_whole(tmp_path: Path) -> None:
    file = tmp_path / "Bestellungen.csv"
    rows = [
        "Bestellnummer;Bestelldatum;Kundennummer;Kundenland;Menge;Einzelpreis;Status",
        "B1;02.08.2025 07:49;K1;Österreich;1;59,25 €;bezahlt",
        "B2;13.08.2025 14:36;;Schweiz;2;1.007,40 €;bezahlt",
        "B1;14.08.2025 10:00;K1;Österreich;-1;59,25 €;Gutschrift",
    ]
    file.write_text("\n".join(rows), encoding="cp1252")
    columns, source = columns_of(file)
    assert columns == {
        "transaction_id": "Bestellnummer",
        "customer_id": "Kundennummer",
        "transacted_at": "Bestelldatum",
        "quantity": "Menge",
        "unit_price": "Einzelpreis",
        "status": "Status",
    }
    # Without the credits every refund would be left out.
    assert source["count_status"] == ["bezahlt", "Gutschrift"]
    text = propose(str(file))
    assert "\ncurrency: EUR" in text
    assert "attributes: [Kundenland]" in text
    # No word of ours is a question where the table knows the name.
    assert "customer_id: Kundennummer  # 2 of 3" in text


def test_a_tab_and_a_line_break_inside_a_field_are_no_other_form(tmp_path: Path) -> None:
    file = tmp_path / "sales.csv"
    file.write_text(
        'order_id,email,date,amount,note\n1,a@x,2024-01-02,5.00,"two\tlines\nof it"\n2,b@x,2024-01-03,6.00,\n'
    )
    columns, source = columns_of(file)
    assert "quoting" not in source
    assert "ragged" not in source
    assert columns["amount"] == "amount"


@pytest.mark.parametrize("place", ["Customer country", "customer_city", "Buyer group", "Kundengruppe", "Kundenland"])
def test_where_customers_are_is_not_who_they_are(tmp_path: Path, place: str) -> None:
    file = tmp_path / "sales.csv"
    file.write_text(f"order_id,{place},Customer ref,date,amount\n1,x,a,2024-01-02,5.00\n2,y,,2024-01-03,6.00\n")
    assert columns_of(file)[0]["customer_id"] == "Customer ref"


@pytest.mark.parametrize(("amount", "refund"), [("-5.00", "5.00"), ("5.00", "0.00")])
def test_a_refund_that_is_a_line_already_or_nothing_is_not_proposed_again(
    tmp_path: Path, amount: str, refund: str
) -> None:
    file = tmp_path / "sales.csv"
    rows = (
        "order_id,email,date,amount,Partial Refunds",
        "1,a@x,2024-01-02,5.00,0.00",
        f"2,a@x,2024-01-03,{amount},{refund}",
    )
    file.write_text("\n".join(rows))
    assert "refund_amount" not in columns_of(file)[0]


def test_a_ledger_has_a_line_of_its_own_before_the_header(tmp_path: Path) -> None:
    file = tmp_path / "ledger.csv"
    file.write_text(
        "EXTF;700;;;\nUmsatz;WKZ;Kunde;Belegdatum;Belegnr\n12,50;EUR;7;2024-01-05;1\n2,00;EUR;8;2024-01-06;2\n"
    )
    columns, source = columns_of(file)
    assert (source["skip_rows"], columns["amount"], columns["customer_id"]) == (1, "Umsatz", "Kunde")


def test_a_workbook_has_titles_above_the_header_and_a_total_below(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    lines = [dt.datetime(2024, 1, 5), 1, "a", 5], [dt.datetime(2024, 2, 5), 2, "b", 6]
    for row in (["Sales report"], ["2024"], [], ["Date", "Receipt number", "Customer", "Final price (EUR)"], *lines):
        book.active.append(row)
    book.active.append(["Total", None, None, 11])
    book.save(tmp_path / "sales.xlsx")
    columns, source = columns_of(tmp_path / "sales.xlsx")
    assert (source["skip_rows"], columns["amount"]) == (3, "Final price (EUR)")
    text = propose(str(tmp_path / "sales.xlsx"))
    assert "currency: EUR" in text
    assert "end_month: 2024-02" in text


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet", "db"])
def test_the_last_month_is_that_of_the_last_line_of_a_long_file(tmp_path: Path, ending: str) -> None:
    first = dt.datetime(2024, 1, 1)
    times = [f"{first + dt.timedelta(minutes=20 * at)}" for at in range(21_500)]
    lines = {"order_id": list(map(str, range(len(times)))), "email": ["a@x.com"] * len(times), "date": times}
    table = pa.table(lines | {"total": ["5.00"] * len(times)})
    file = tmp_path / f"orders.{ending}"
    if ending == "csv":
        pa.csv.write_csv(table, file)
    elif ending == "jsonl":
        file.write_text("".join(f"{json.dumps(row)}\n" for row in table.to_pylist()))
    elif ending == "parquet":
        pq.write_table(table, file)
    else:
        with closing(sqlite3.connect(file)) as connection, connection:
            connection.execute("create table orders (order_id, email, date, total)")
            connection.executemany("insert into orders values (:order_id, :email, :date, :total)", table.to_pylist())
    assert (
        init(str(file), *(["--table", "orders"] if ending == "db" else []), "--output", str(tmp_path / "new.yaml")) == 0
    )
    text = (tmp_path / "new.yaml").read_text()
    assert "start_month: 2024-01  # first" in text
    assert "end_month: 2024-10  # ? lines end on 2024-10-25: 2024-09, if the rest of the month is lacking" in text


def test_a_month_that_lines_fill_is_whole_and_times_to_come_say_nothing(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("order id,email,date,total\n1,a,2024-01-02,5\n2,b,2024-02-28,5\n3,b,2999-12-31,5\n")
    assert "end_month: 2024-02  # last that was read; remove it where" in propose(str(file))


def test_japanese_text_is_told_from_western(tmp_path: Path) -> None:
    file = tmp_path / "orders.csv"
    file.write_bytes("注文番号,会員ID,注文日時,合計金額\n1,M1,2024/01/02,1200\n".encode("cp932"))
    columns, source = columns_of(file)
    assert (source["encoding"], columns["amount"]) == ("cp932", "合計金額")


def test_packed_json_is_read_as_json(tmp_path: Path) -> None:
    file = tmp_path / "events.json.gz"
    file.write_bytes(gzip.compress(b'{"userId": "a", "timestamp": "2024-01-05T10:00:00Z", "revenue": 5}\n' * 2))
    columns, source = columns_of(file)
    assert source["kind"] == "jsonl"
    assert columns["customer_id"] == "userId"


def test_an_amount_on_one_line_of_each_order_is_that_of_the_order(tmp_path: Path) -> None:
    file = tmp_path / "report.csv"
    lines = [f"{order},b{order},Jan-0{order}-24,{amount},1" for order in (1, 2) for amount in ("$9.00", "")]
    header = "Order Number,Buyer Username,Sale Date,Sold Price,Quantity"
    file.write_text("\n".join([header, *lines, "2,records,Total,,", ""]))
    columns, source = columns_of(file)
    assert (columns["amount"], source["amount_level"]) == ("Sold Price", "order")
    assert source["timestamp_format"] == "%b-%d-%y"


def test_without_any_known_column_the_message_says_what_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.csv").write_text("foo,bar\nx,y\n")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        main(["init", "a.csv"])
    assert "columns lacks customer_id and transacted_at" in capsys.readouterr().out


def test_unsure_order_of_day_and_month_is_asked(tmp_path: Path) -> None:
    file = tmp_path / "orders.csv"
    file.write_text("order_id,customer_id,date,amount\n1,a,03/04/2024,5\n2,b,05/06/2024,6\n")
    assert "# ? day or month first" in propose(str(file))
    file.write_text("order_id,customer_id,date,amount\n1,a,03/04/2024,5\n2,b,05/16/2024,6\n")
    text = propose(str(file))
    assert "timestamp_format: '%m/%d/%Y'" in text
    assert "day or month" not in text


def test_formats_read_every_text_or_none_is_proposed() -> None:
    assert formats_together(["2024-01-02", "2024-01-03", "15/02/2024 02:04"]) == ["iso", "%d/%m/%Y %H:%M"]
    assert formats_together(["1704067200000"]) == ["epoch_ms"]
    assert formats_together(["2024-01-02", "soon"]) == []


def test_lines_of_an_earlier_file_are_a_question(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("order_id,customer_id,date,amount\n1,a,2024-01-02,5\n")
    assert "duplicates: drop_across_files  # ? 1 lines" in propose(str(tmp_path))


def test_no_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no file"):
        propose(str(tmp_path / "nothing*.csv"))


def test_init_writes_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sap.csv").write_text(_SAP)
    assert init("sap.csv") == 0
    assert "source: 1 files" in capsys.readouterr().out
    Path("cltv.yaml").write_text("mine")
    assert init("sap.csv") == 2
    assert Path("cltv.yaml").read_text() == "mine"
    assert init("sap.csv", "--force") == 0
    assert "Belegnr" in Path("cltv.yaml").read_text()


@pytest.mark.parametrize("kind", ["sqlite", "duckdb", "delta"])
def test_init_looks_at_a_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    monkeypatch.chdir(tmp_path)
    orders = {
        "order_id": ["1", "2"],
        "email": ["A@x.com", "b@x.com"],
        "status": ["paid", "voided"],
        "order date": ["2024-01-02 10:00:00", "2024-02-03 10:00:00"],
        "updated_at": ["2024-01-02 10:00:00", "2024-02-09 10:00:00"],
        "total": ["5.00", "7.50"],
        "photo": [b"\xff", b"\x00"],
    }
    arguments = {"delta": ["shop"]}.get(kind, ["shop", "--table", "orders"])
    if kind == "sqlite":
        with closing(sqlite3.connect("shop")) as connection, connection:
            connection.execute(
                'create table orders (order_id, email, status, "order date", updated_at, total, photo blob)'
            )
            connection.executemany(
                "insert into orders values (?, ?, ?, ?, ?, ?, ?)", zip(*orders.values(), strict=True)
            )
    elif kind == "duckdb":
        table = pa.table(orders)
        with duckdb.connect("shop") as connection:
            connection.register("given", table)
            connection.execute("create table orders as select *, [1, 2] as tags from given")
    else:
        write_deltalake("shop", pa.table(orders | {"tags": [[1], [2]]}))
    assert init(*arguments) == 0
    assert "wrong" not in (said := capsys.readouterr().out), said
    settings = yaml.safe_load(Path("cltv.yaml").read_text())
    source = settings["source"]
    assert (source["kind"], source["path"]) == ("delta" if kind == "delta" else "sql", "shop")
    assert (source.get("table"), source["changed_at"]) == (None if kind == "delta" else "orders", "updated_at")
    assert source["columns"] == {
        "transaction_id": "order_id", "customer_id": "email", "transacted_at": "order date", "amount": "total",
        "status": "status",
    }  # fmt: skip
    assert (source["count_status"], settings["start_month"]) == (["paid"], "2024-01")


def test_init_asks_for_the_name_of_a_databases_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with closing(sqlite3.connect("shop.db")) as connection, connection:
        connection.execute("create table orders (order_id, email, created_at, total)")
    for arguments, code, says in (
        (["shop.db"], 3, "shop.db is a database. Name its table: cltv init FILE --table TABLE."),
        (["--url-variable", "SHOP"], 2, "Add --table, such as"),
        (["--url-variable", "SHOP", "--table", "orders"], 3, "SHOP (source.url_variable) is not set"),
        (["shop.db", "--table", "orders"], 3, "has no rows"),
        (["shop.db", "--table", "order"], 3, "There is no such table"),
    ):
        assert init(*arguments) == code
        assert says in capsys.readouterr().err
    assert not Path("cltv.yaml").exists()


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("Cost of goods", "# cost: Cost of goods"), ("unit_cost", "# unit_cost: unit_cost"),
        ("Gross Profit", "# margin: Gross Profit"), ("Wareneinsatz", "# cost: Wareneinsatz"), ("Shipping cost", ""),
    ],
)  # fmt: skip
def test_a_column_that_may_be_what_goods_cost_is_asked_about(tmp_path: Path, name: str, asked: str) -> None:
    (tmp_path / "a.csv").write_text(f"order id,email,date,{name},amount\n1,a@x.com,2024-01-02,3.00,5.00\n")
    found = [line.strip() for line in propose(str(tmp_path / "a.csv")).splitlines() if "margins of their own" in line]
    assert [line.partition("  #")[0] for line in found] == ([asked] if asked else [])


def test_columns_that_tell_customers_apart_are_proposed(tmp_path: Path) -> None:
    header = "order id,email,date,amount,utm_source,ShippingCountry,tier,mood,article,size,gift,note"
    # Of a customer the tier is one, the mood is not; articles are too many, sizes are numbers.
    rows = [
        f"o{at},c{at % 40}@x.com,2024-01-02,5.00,{['ads', 'mail', ''][at % 3]},{['DE', 'AT'][at % 2]},"
        f"{['gold', 'blue'][at % 40 % 2]},{['happy', 'sad'][at // 40 % 2]},art {at % 60}x,{at % 5},no,n {at}"
        for at in range(200)
    ]
    (tmp_path / "a.csv").write_text("\n".join([header, *rows]))
    text = propose(str(tmp_path / "a.csv"))
    [line] = [line for line in text.splitlines() if "attributes:" in line]
    assert line == (
        "    # attributes: [utm_source, ShippingCountry, tier]  # ? to compare customers by: utm_source has 2 values, "
        "ShippingCountry has 2 values, tier has 2 values"
    )
    assert (
        "  # keep_other_columns: false  # ? utm_source, ShippingCountry, tier, mood, article, size and 2 more are kept "
        "as text; false, or a list, if some are personal data\n" in text
    )
    # Answering yes is taking the marks away.
    answered = yaml.safe_load(text.replace("# attributes", "attributes").replace("# keep_other", "keep_other"))
    settings = Settings.model_validate({"home": str(tmp_path), **answered})
    assert settings.source.attributes == ("utm_source", "ShippingCountry", "tier")
    assert settings.source.keep_other_columns is False


def test_a_file_without_amounts_is_asked_whether_it_has_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [f"M{n % 7},2024-0{1 + n % 3}-1{n % 9} 10:00:00,north" for n in range(60)]
    (tmp_path / "visits.csv").write_text("\n".join(["member_id,seen,gate", *lines]))
    written = tmp_path / "cltv.yaml"
    assert init(str(tmp_path / "visits.csv"), "--output", str(written)) == 0
    said = capsys.readouterr().out
    assert "if the source has no amounts, as a log of visits, set source.amounts: none" in said
    text = written.read_text()
    assert "    # amount:  # ? which of member_id, seen, gate" in text
    # Answering yes is taking the mark away.
    answered = yaml.safe_load(text.replace("  # amounts: none", "  amounts: none"))
    settings = Settings.model_validate({"home": str(tmp_path), **answered})
    assert settings.source.counted
    assert settings.source.columns["customer_id"] == ("member_id",)


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        (_PIECES.format("UnitPrice", "", ""), {"quantity": "Qty", "unit_price": "UnitPrice"}),
        (_PIECES.format("Price", "", ""), {"quantity": "Qty", "unit_price": "Price"}),
        (_PIECES.format("Einzelpreis,Betrag", "10.00,", "2.50,"), {"amount": "Betrag"}),
        (_PIECES.format("Unit Price,Total", "10.00,", "2.50,"), {"amount": "Total"}),
        (_PIECES.format("Weight", "", ""), {}),
    ],
)
def test_a_price_of_one_piece_is_no_amount(tmp_path: Path, text: str, columns: dict[str, str]) -> None:
    (tmp_path / "lines.csv").write_text(text)

    source = yaml.safe_load(propose(str(tmp_path / "lines.csv")))["source"]

    assert {name: source["columns"].get(name) for name in ("amount", "quantity", "unit_price")} == {
        "amount": None, "quantity": None, "unit_price": None, **columns,
    }  # fmt: skip
    assert "amount_level" not in source, "the lines of one order have amounts of their own"
