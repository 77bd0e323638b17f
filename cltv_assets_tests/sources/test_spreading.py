"""Deliveries that several workers parse: the same lines, numbers, counts and records as on one machine."""

from __future__ import annotations

import datetime as dt
import json
import logging
import pickle
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import cltv_assets.sources.landing as landing_module
from cltv_assets.errors import NoWorkersError, SourceError
from cltv_assets.files.storage import LANDING_FOLDER, Storage
from cltv_assets.months import Month
from cltv_assets.settings import Settings
from cltv_assets.sources import TransactionSource, Workers, new_source, spreading
from cltv_assets_tests.sources.conftest import COLUMNS, HEADER, TODAY

MONTHS = [f"2024-0{month}" for month in range(1, 6)]


def settings_of(home: Path, path: str, kind: str = "csv", **source: Any) -> Settings:
    values = {"kind": kind, "path": path, "columns": COLUMNS, **source}
    return Settings.model_validate({"source": values, "start_month": "2024-01", "home": home})


def at_once(task: Any, count: int) -> list[bytes]:
    """Run tasks as other processes would, which get a copy of all that a task holds."""
    copy = pickle.loads(pickle.dumps(task))
    return [copy(number) for number in reversed(range(count))][::-1]


@pytest.fixture(autouse=True)
def _everything_is_large(monkeypatch):
    monkeypatch.setattr(landing_module, "SPREAD_BYTES", 0)
    monkeypatch.setattr(landing_module, "BLOCK", 40)
    monkeypatch.setattr(spreading, "RANGE_BYTES", 700)
    monkeypatch.setattr(spreading, "UNIT_BYTES", 3000)


def spread_source(settings: Settings, run: Any = at_once) -> TransactionSource:
    source = new_source(settings, TODAY)
    source.workers = Workers(run, Storage(str(settings.home / "lake")))
    return source


def rows_of(source: TransactionSource, month: str, into: Path) -> tuple[list[dict[str, Any]], Any]:
    landing = source.land(Month.parse(month), into / month)
    rows = [row for file in landing.files for row in pq.read_table(file).to_pylist()]
    for part in landing.parts:
        for uri in part.uris:
            found = pq.ParquetFile(uri).read().to_pylist()
            rows += [row for row in found if part.names is None or row["source_file"] in part.names]
    assert len(rows) == landing.lines
    told = {k: v for k, v in vars(landing).items() if k not in ("files", "parts")}
    return sorted(rows, key=lambda row: (row["source_file"], row["source_line"])), told


def same(settings: Settings, into: Path, months: list[str] = MONTHS) -> list[int]:
    """Land all months in both ways, hold them against each other, and return the numbers of tasks."""
    jobs = []

    def run(task: Any, count: int) -> list[bytes]:
        jobs.append(count)
        return at_once(task, count)

    alone, shared = new_source(settings, TODAY), spread_source(settings, run)
    try:
        for month in months:
            assert rows_of(shared, month, into / "s") == rows_of(alone, month, into / "a")
        assert shared.line_counts() == alone.line_counts()
    finally:
        alone.close()
        shared.close()
    assert not any((settings.home / "lake" / LANDING_FOLDER).rglob("*.parquet"))
    return jobs


def line(number: int, when: str | None = None) -> str:
    day = dt.date(2023, 12, 20) + dt.timedelta(days=number % 200)
    return f"i{number},c{number % 17},{when or f'{day} 10:00:00'},{number}.5"


def delivered(count: int = 600) -> list[str]:
    """Return lines of all sorts, without quotes."""
    lines = [line(number) for number in range(count)]
    lines[70] = lines[41] = ""
    lines[100], lines[333] = "too,few", "one,too,many,fields,here"
    lines[150], lines[480] = line(150, "whenever"), line(480, "2031-01-01 00:00:00")
    return lines


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("last", ["", "\n"])
def test_a_cut_csv_file_lands_as_it_does_whole(tmp_path, ending, last):
    text = ending.join([HEADER, *delivered()]) + (ending if last else "")
    (tmp_path / "a.csv").write_bytes(text.encode())
    surveys, units = same(settings_of(tmp_path, "a.csv"), tmp_path)
    assert surveys > 20
    assert units == 16


@pytest.mark.parametrize(
    ("at", "odd", "cut"),
    [
        (300, '"i300",c1,2024-03-01,"1.5"', True),
        (300, '"i300","a\nb",2024-03-01,1.5', False),
        (300, 'i"300,c1,2024-03-01,1.5', False),
        (300, "i300,c\r1,2024-03-01,1.5", False),
        (300, "i300,c\0,2024-03-01,1.5", False),
        (300, "i300,é¥\u2028\x85\ufeff,2024-03-01,1.5", True),
        (38, "\ufeffi38,c,2024-03-01,1.5", True),
        (300, "i300," + "x" * 5000 + ",2024-03-01,1.5", True),
    ],
)
def test_only_a_file_of_whole_lines_is_cut(tmp_path, at, odd, cut):
    lines = delivered()
    lines[at] = odd
    (tmp_path / "a.csv").write_bytes("\n".join(["\ufeff" + HEADER, *lines]).encode())
    _, units = same(settings_of(tmp_path, "a.csv"), tmp_path)
    assert (units > 1) == cut


@pytest.mark.parametrize(
    ("form", "at", "odd", "cut"),
    [
        ({"quoting": "none"}, 300, 'i"300,"c1,2024-03-01,1.5', True),
        ({"escape": "\\"}, 300, "i300,\\N,2024-03-01,1.5", True),
        ({"escape": "\\"}, 300, "i300,a\\\nb,2024-03-01,1.5", False),
        ({"escape": "\\"}, 300, 'i300,"a\\"b",2024-03-01,1.5', False),
        ({"skip_rows": 3}, 300, "i300,c,2024-03-01,1.5", True),
        ({"ragged": "pad"}, 300, "i300,c,2024-03-01", True),
        (
            {"header": False, "columns": {name: at + 1 for at, name in enumerate(COLUMNS)}},
            300,
            "i,c,2024-03-01,1",
            True,
        ),
        ({"delimiter": ";"}, -1, "sep=,", False),
    ],
)
def test_the_form_of_a_file_decides_whether_it_is_cut(tmp_path, form, at, odd, cut):
    lines = [HEADER, *delivered()]
    lines[at + 1] = odd
    before = ["Report", "", '"by,"'] if "skip_rows" in form else [] if at >= 0 else [odd]
    lines[0] = HEADER
    (tmp_path / "a.csv").write_bytes("\n".join([*before, *lines]).encode())
    _, units = same(settings_of(tmp_path, "a.csv", **form), tmp_path)
    assert (units > 1) == cut


@pytest.mark.parametrize(("between", "units"), [("\n", 16), ("\r\n", 16), ("\r", 1)])
def test_json_lines_are_cut(tmp_path, between, units):
    fields = [dict(zip(HEADER.split(","), row.split(","), strict=False)) for row in delivered()]
    lines = [json.dumps(found) for found in fields]
    lines[100], lines[333] = "", "[]"
    text = "\n".join(lines[:300]) + between + "\n".join(lines[300:])
    (tmp_path / "a.jsonl").write_bytes(text.encode())
    assert same(settings_of(tmp_path, "a.jsonl", "jsonl"), tmp_path)[1] == units


def test_an_encoding_that_cannot_be_cut_and_packed_files_are_read_whole(tmp_path):
    import gzip

    text = "\n".join([HEADER, *delivered()])
    (tmp_path / "a.csv").write_bytes(text.encode("utf-16"))
    (tmp_path / "b.csv.gz").write_bytes(gzip.compress(text.encode()))
    assert same(settings_of(tmp_path, "a.csv", encoding="utf-16"), tmp_path) == [1]
    assert same(settings_of(tmp_path, "b.csv.gz"), tmp_path) == [1]


def test_large_blocks_are_split_by_arrow_in_both_ways(tmp_path, monkeypatch):
    monkeypatch.setattr(landing_module, "BLOCK", 3000)
    monkeypatch.setattr(spreading, "RANGE_BYTES", 100_000)
    (tmp_path / "a.csv").write_text("\n".join([HEADER, *delivered(20_000)]))
    assert same(settings_of(tmp_path, "a.csv"), tmp_path)[1] == 7


def parquet(path: Path, lines: list[str], group: int) -> None:
    fields = [row.split(",") for row in lines if row.count(",") == 3]
    columns = dict(zip(HEADER.split(","), map(list, zip(*fields, strict=True)), strict=True))
    path.parent.mkdir(exist_ok=True)
    pq.write_table(pa.table(columns | {"value": [float(v) for v in columns["value"]]}), path, row_group_size=group)


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_columns_that_nothing_maps_are_kept_in_both_ways(tmp_path, kind):
    names = [*HEADER.split(","), "note", "code"]
    lines = [
        [*row.split(","), f'n "{at}"' if at % 3 else "", str(at % 7)] for at, row in enumerate(map(line, range(600)))
    ]
    path = tmp_path / f"a.{kind}"
    if kind == "parquet":
        pq.write_table(pa.table(dict(zip(names, zip(*lines, strict=True), strict=True))), path, row_group_size=70)
    elif kind == "jsonl":
        path.write_text("\n".join(json.dumps(dict(zip(names, row, strict=True))) for row in lines))
    else:
        path.write_text("\n".join(",".join(row) for row in [names, *lines]))
    form = {"quoting": "none"} if kind == "csv" else {}
    settings = settings_of(tmp_path, path.name, kind, **form)
    assert max(same(settings, tmp_path)) > 1
    rows = [row for month in MONTHS for row in rows_of(spread_source(settings), month, tmp_path / "r")[0]]
    # Lines of the future stand in their file's month.
    rows = [row for row in rows if row["transacted_at"][:7] in MONTHS]
    kept = {row["transaction_id"]: json.loads(row["other_columns"]) for row in rows}
    expected = {row[0]: {"note": row[4], "code": row[5]} for row in lines if row[2][:7] in MONTHS}
    assert kept == {name: {k: v for k, v in one.items() if v} for name, one in expected.items()}


@pytest.mark.parametrize(("group", "units"), [(7, 15), (40, 14), (100, 6), (10_000, 1)])
def test_stretches_cross_the_row_groups_of_a_parquet_file(tmp_path, group, units):
    parquet(tmp_path / "a.parquet", delivered(), group)
    [found] = same(settings_of(tmp_path, "a.parquet", "parquet"), tmp_path)
    assert found == units


def test_deliveries_by_month_with_late_lines(tmp_path):
    for at, month in enumerate(MONTHS):
        parquet(tmp_path / "in" / f"{month}.parquet", delivered()[at * 30 : at * 30 + 200], 33)
    same(settings_of(tmp_path, "in/{month}.parquet", "parquet", late_months=2), tmp_path)


def test_many_small_files_share_tasks(tmp_path):
    lines = delivered()
    (tmp_path / "in").mkdir()
    for at in range(20):
        (tmp_path / "in" / f"{at:02}.csv").write_text("\n".join([HEADER, *lines[at * 30 : at * 30 + 30]]))
    jobs = same(settings_of(tmp_path, "in"), tmp_path)
    assert jobs[-1] <= 10


def test_a_changed_file_is_parsed_again_and_the_others_stay(tmp_path):
    (tmp_path / "in").mkdir()
    for name in "ab":
        (tmp_path / "in" / f"{name}.csv").write_text("\n".join([HEADER, *delivered()]))
    settings = settings_of(tmp_path, "in")
    shared = spread_source(settings)
    rows_of(shared, "2024-02", tmp_path / "1")
    (tmp_path / "in" / "a.csv").write_text("\n".join([HEADER, *delivered()[50:]]))
    alone = new_source(settings, TODAY)
    for month in MONTHS:
        assert rows_of(shared, month, tmp_path / "s") == rows_of(alone, month, tmp_path / "a")
    shared.close()
    alone.close()


@pytest.mark.parametrize(("at", "error"), [(200, b"i,c\xff,2024-03-01,1"), (560, b"i,\xff,2024-03-01,1")])
def test_an_error_names_the_line_of_the_file(tmp_path, at, error):
    lines = [row.encode() for row in delivered()]
    lines[at] = error
    (tmp_path / "a.csv").write_bytes(b"\n".join([HEADER.encode(), *lines]))
    told = []
    for source in (new_source(settings_of(tmp_path, "a.csv"), TODAY), spread_source(settings_of(tmp_path, "a.csv"))):
        with pytest.raises(SourceError) as refused:
            source.land(Month.parse("2024-02"), tmp_path / "x")
        told.append(str(refused.value))
    assert told[0] == told[1]
    assert f"a.csv, line {at + 2}:" in told[0]
    assert not any((tmp_path / "lake" / LANDING_FOLDER).rglob("*.parquet"))


def without_files(task: Any, count: int) -> list[bytes]:
    copy = pickle.loads(pickle.dumps(task))
    object.__setattr__(copy.args[0].source, "stat", lambda _: None)
    return [copy(number) for number in range(count)]


def of_another_version(task: Any, count: int) -> list[bytes]:
    copy = pickle.loads(pickle.dumps(task))
    object.__setattr__(copy.args[0], "version", "0.0.1")
    return [copy(number) for number in range(count)]


def without_package(task: Any, count: int) -> list[bytes]:
    raise NoWorkersError("Spark's executors cannot run this package (No module named 'cltv_assets').", "Install it.")


@pytest.mark.parametrize(
    ("run", "said"),
    [
        (without_files, "a.csv as it is on the driver: put deliveries on storage"),
        (of_another_version, "and the driver 0.0.1: install"),
        (without_package, "No module named 'cltv_assets'"),
    ],
)
def test_what_workers_cannot_parse_the_driver_does_and_says_why(tmp_path, caplog, run, said):
    (tmp_path / "a.csv").write_text("\n".join([HEADER, *delivered()]))
    settings = settings_of(tmp_path, "a.csv")
    alone, shared = new_source(settings, TODAY), spread_source(settings, run)
    with caplog.at_level(logging.WARNING):
        assert rows_of(shared, "2024-03", tmp_path / "s") == rows_of(alone, "2024-03", tmp_path / "a")
    assert [said in message for message in caplog.messages] == [True]


def test_a_small_delivery_stays_with_the_driver(tmp_path, monkeypatch):
    monkeypatch.setattr(landing_module, "SPREAD_BYTES", 1 << 20)
    (tmp_path / "a.csv").write_text("\n".join([HEADER, *delivered()]))
    assert same(settings_of(tmp_path, "a.csv"), tmp_path) == []


def test_the_digest_of_a_file_below_one_block_is_that_of_its_lines(tmp_path, monkeypatch):
    monkeypatch.setattr(landing_module, "BLOCK", 1 << 20)
    (tmp_path / "a.csv").write_text("\n".join([HEADER, line(100), line(101)]))
    source = new_source(settings_of(tmp_path, "a.csv"), TODAY)
    landing = source.land(Month.parse("2024-03"), tmp_path / "x")
    from cltv_assets.sources.contents import ContentDigest

    digest = ContentDigest()
    digest.add(pq.read_table(landing.files[0]))
    assert landing.records["a.csv"].content == digest.content()


def test_a_file_of_unreadable_times_is_refused_as_on_one_machine(tmp_path):
    lines = [line(number, "25.03.2024") for number in range(400)] + [line(number) for number in range(200)]
    (tmp_path / "a.csv").write_text("\n".join([HEADER, *lines]))
    said = set()
    for source in (new_source(settings_of(tmp_path, "a.csv"), TODAY), spread_source(settings_of(tmp_path, "a.csv"))):
        with pytest.raises(SourceError, match=r"400 of its 600 lines.*\['iso', '%d\.%m\.%Y'\]") as raised:
            source.land(Month.parse("2024-01"), tmp_path / "into")
        said.add(str(raised.value))
        source.close()
    assert len(said) == 1
    # Nothing of the refused landing is left on the storage that the workers share.
    assert not any((tmp_path / "lake" / LANDING_FOLDER).rglob("*.parquet"))


@pytest.mark.parametrize("at", [30, 90, 250, 290])
@pytest.mark.parametrize("undatable", [False, True])
def test_the_digest_changes_with_a_line_of_any_block(tmp_path, at, undatable):
    lines = [line(12, "2024-03-01") for _ in range(300)]
    # Lines without a month of their own are in each block too, before and after.
    for odd in range(0, 300, 10):
        lines[odd] = line(odd, "whenever")
    digests = set()
    place = at if undatable else at + 1
    for other in (lines[place], line(7, "whenever" if undatable else "2024-03-02")):
        lines[place] = other
        (tmp_path / "a.csv").write_text("\n".join([HEADER, *lines]))
        source = new_source(settings_of(tmp_path, "a.csv"), TODAY)
        digests.add(source.land(Month.parse("2024-03"), tmp_path / "x").records["a.csv"].digest)
        source.close()
    assert len(digests) == 2
