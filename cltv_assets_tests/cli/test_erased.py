"""Erased means erased: no byte of any kind of id is left, whatever lines it was delivered in."""

from __future__ import annotations

import csv
import io
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pyarrow.parquet as pq
import pytest

from cltv_assets.cli.history import shown_in_history
from cltv_assets.cli.runner import run_months
from cltv_assets.dagster_defs.graph import assets_of_half
from cltv_assets.dagster_defs.instance import open_instance
from cltv_assets.lake.spellings import Spellings
from cltv_assets.settings import load_settings
from cltv_assets.sources import open_source
from cltv_assets_tests.cli.commands import code_of
from cltv_assets_tests.e2e.running import write_config
from cltv_assets_tests.e2e.shop import HEADER, Line, months_of

JAN, FEB = months_of("2011-01", 2)


@dataclass(frozen=True)
class Kind:
    """One kind of id: as the tables have it, what of it is unmistakable, and as it is delivered if that differs."""

    id: str
    mark: str
    delivered: str = ""

    @property
    def given(self) -> str:
        return self.delivered or self.id


KINDS = {
    "a plain number": Kind("7310001", "7310001"),
    "a number of a data frame": Kind("7310002", "7310002", "7310002.0"),
    "zeros at the beginning": Kind("007310003", "7310003"),
    "blanks around": Kind("zeb04ra", "zeb04ra", "  zeb04ra \t"),
    "quotes": Kind('zeb05ra "the first"', "zeb05ra"),
    "an apostrophe": Kind("o'neill zeb06ra", "zeb06ra"),
    "an e-mail address": Kind("zeb07ra+x@shop.example", "zeb07ra"),
    "a long text": Kind("zeb08ra" + "x" * 120, "zeb08ra"),
    "a line break": Kind("zeb09ra\nof two lines", "zeb09ra"),
    "composed letters": Kind("zoë zeb10ra", "zeb10ra"),
    "decomposed letters": Kind("zo\u00eb zeb11ra", "zeb11ra", "zoe\u0308 zeb11ra"),
    "HTML": Kind("<img src=x onerror=alert(1)>zeb12ra", "zeb12ra"),
    "Markdown": Kind("![zeb13ra](http://127.0.0.1:9/t.png)", "zeb13ra"),
    "a formula": Kind('=hyperlink("zeb14ra")', "zeb14ra"),
    "upper case": Kind("zeb15ra@shop.example", "zeb15ra", "ZEB15RA@Shop.example"),
    "percent signs": Kind("zeb16ra%20%3cx%3e", "zeb16ra"),
    "backslashes": Kind(r"c:\new\zeb17ra", "zeb17ra"),
    "a comma": Kind("last, first zeb18ra", "zeb18ra"),
    "a UUID": Kind("7a310019-5d1c-4b7e-9c1e-0a1b2c3d4e5f", "7a310019"),
    "bars": Kind("a | zeb20ra | b", "zeb20ra"),
    "brackets": Kind("[/]zeb21ra", "zeb21ra"),
    "marks of direction": Kind("zeb22ra\u202egnp", "zeb22ra"),
    "an exponent": Kind("7.310023e+09", "7.310023"),
    "nobody's name": Kind("guest zeb24ra", "zeb24ra"),
}
OTHERS = [f"c{number:02}" for number in range(40)]


def naming(root: Path, mark: str) -> set[str]:
    """Return the files below a folder whose bytes have the mark, as they are or packed as values."""
    return {name for name, content in contents(root) if mark in content}


def contents(root: Path) -> Iterator[tuple[str, str]]:
    for file in root.rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            text = content.decode("utf-8", "replace")
            if file.suffix == ".parquet":
                text += str(pq.read_table(io.BytesIO(content)).to_pylist())
            yield str(file.relative_to(root)), text.casefold()


def write(file: Path, lines: list[Line]) -> None:
    file.parent.mkdir(exist_ok=True)
    with file.open("w", newline="", encoding="utf-8") as opened:
        csv.writer(opened).writerows([HEADER, *lines])


def deliver_all(shop: Path) -> None:
    """Deliver every kind of id in purchases, in orders of two files, in lines of many faults, in a month to refuse."""
    who = [*(kind.given for kind in KINDS.values()), *OTHERS]
    bought = [(f"A{n}", one, f"2011-01-{1 + n % 28:02} 10:00:00", "1", "5.00") for n, one in enumerate(who)]
    write(shop / "a.csv", [*bought, *((f"B{order}", *rest) for order, *rest in bought)])
    # The first is a customer who has most of the value; these orders are in the first file, too.
    write(shop / "b.csv", [*bought, ("Z", who[0], "2011-01-20 10:00:00", "1", "9000.00")])
    odd: list[Line] = []
    for n, one in enumerate(kind.given for kind in KINDS.values()):
        time = "2011-01-09 10:00:00"
        odd += [
            (f"M{n}", one, time, "1", "5.00", "one", "too many"),
            (f"N{n}", one, time, f"{one}x", "5.00"),
            (f"O{n}", one, time, "1", f"{one}x"),
            (f"P{n}", one, "2011-01-31.", "1", "5.00"),
        ]
    write(shop / "c.csv", odd + [(f"C{n}", OTHERS[n % 40], "2011-01-08 10:00:00", "1", "7.00") for n in range(300)])
    late = [(f"F{n}", one, "2011-02-03 10:00:00", "many", "5.00") for n, one in enumerate(who)]
    late += [(f"G{n}", kind.given, "2011-02-04 10:00:00", "1", "5", "6") for n, kind in enumerate(KINDS.values())]
    write(shop / "d.csv", late)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A shop of which one month is published and one refused, with its own instance and temporary folder."""
    deliver_all(tmp_path / "shop")
    source = {"customer_id_folding": ["trim", "nfc", "casefold"]}
    config = write_config(tmp_path, end_month="2011-02", source=source, checks={"reject_share": 0.3})
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / ".dagster"))
    monkeypatch.chdir(tmp_path)
    settings = load_settings(config)
    with open_instance(settings) as instance:
        january, february = run_months(settings, [JAN, FEB], instance, assets_of_half("preprocess"))
    # The landing cache lives as long as the process, which goes on here.
    open_source(settings).close()
    assert january.errors == []
    assert "2011-02 is not published" in " ".join(february.errors)
    said = " ".join(january.warnings)
    for check in ("customer_ids", "delivered_once", "lost_value"):
        assert check in said, "the checks that find single customers and lines must have something to say"
    assert "ids look like nobody's" in said
    assert "ids have exponents" in said
    assert "One customer has" in said
    return tmp_path


def test_no_byte_of_any_kind_of_id_is_left(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for kind in KINDS.values():
        found = naming(home / "lake", kind.mark)
        for table in ("raw_", "cleaned_", "rejected_", "purchase_days", "rfm_"):
            assert any(name.startswith(table) for name in found), f"the search must see {kind} in {table}"
        # Neither before anybody is erased.
        assert naming(home / ".dagster", kind.mark) == set(), kind
        assert naming(home / "tmp", kind.mark) == set(), kind
    assert any(naming(home / "lake" / "refused_lines", kind.mark) for kind in KINDS.values())
    # What a killed run had parsed.
    killed = home / "tmp" / f"cltv-{os.getuid()}" / "1-killed"
    killed.mkdir(mode=0o700, parents=True, exist_ok=True)
    (killed / "lock").touch()
    (killed / "lines.csv").write_text(str(KINDS))

    for name, kind in KINDS.items():
        # As somebody has it from a letter, not always as the tables have it.
        assert code_of("forget", kind.given, "--yes", "--source-cleaned-later") == 0, (name, capsys.readouterr())
        left = {folder: naming(home / folder, kind.mark) for folder in ("lake", ".dagster", "tmp")}
        assert not any(left.values()), (name, left)
    capsys.readouterr()
    assert code_of("forget", KINDS["a line break"].id, "--dry-run") == 0
    said = capsys.readouterr().out
    assert "tables: no row of the customer" in said
    assert "dagster: 0 events" in said
    others = pq.read_table(home / "lake/purchase_days").to_pylist()
    assert {row["customer_id"] for row in others} == set(OTHERS)


def recorded_before(kind: Kind) -> dict[str, dg.MetadataValue[object] | str]:
    """Return what earlier releases recorded of a customer: a preview, cells cut at 80 characters, quoted lines."""

    def cell(text: str) -> str:
        text = text.replace("|", "\\|").replace("\n", " ")
        return text if len(text) <= 80 else f"{text[:79]}…"

    def written(delimiter: str) -> str:
        out = io.StringIO()
        fields = ["A1", kind.given, "2011-01-09 10:00:00", "1", "5.00", "one", "too many"]
        csv.writer(out, delimiter=delimiter).writerow(fields)
        return out.getvalue().removesuffix("\r\n")

    line = written(",")
    cells = [kind.id, kind.given, line, written(";"), written("\t"), "x" * 60 + " " + line, "the others'"]
    table = "\n".join(["| customer_id | rows |", "| --- | --- |", *(f"| {cell(text)} | 1 |" for text in cells)])
    said = f"The shop's 2 ids look like nobody's, such as '{kind.id}' and 'guest': name them. Line 3 reads {line!r}."
    return {"preview": dg.MetadataValue.md(table), "said": said, "rows": "2"}


def test_what_earlier_releases_recorded_goes_too(tmp_path: Path) -> None:
    key = dg.AssetKey("raw_transactions")
    # Not whole words: others whom forgetting one must spare.
    neighbours = Kind("173100012", "173100012"), Kind("azeb04rab", "azeb04rab")
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        for kind in (*KINDS.values(), *neighbours):
            instance.report_runless_asset_event(dg.AssetMaterialization(key, metadata=recorded_before(kind)))

        def recorded() -> str:
            events = instance.fetch_materializations(key, limit=100).records
            return " ".join(
                str(value.value)
                for event in events
                if event.asset_materialization
                for value in event.asset_materialization.metadata.values()
            ).casefold()

        for name, kind in KINDS.items():
            assert kind.mark in recorded(), name
            spellings = Spellings(kind.id, lambda text: text.casefold().replace("e\u0308", "ë"))
            assert shown_in_history(instance, {key}, spellings) >= 1
            assert shown_in_history(instance, {key}, spellings, remove=True) >= 1
            assert kind.mark not in recorded().replace("173100012", "").replace("azeb04rab", ""), name
            assert shown_in_history(instance, {key}, spellings) == 0, name
        # Neither in pages of the database files that are free now.
        for name, kind in KINDS.items():
            left = "".join(content for _, content in contents(tmp_path)).replace("173100012", "")
            assert kind.mark not in left.replace("azeb04rab", ""), name
        assert recorded().count("173100012") == recorded().count("azeb04rab") > 3
        assert "the others'" in recorded()
