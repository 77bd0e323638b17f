"""``cltv status`` watches the customers' file and the acquisition costs: by what they say, not by their times."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from cltv_assets.cli.runner import run_months
from cltv_assets.dagster_defs.instance import open_instance
from cltv_assets_tests.cli.commands import code_of
from cltv_assets_tests.e2e.reading import rows_of
from cltv_assets_tests.e2e.running import settings_in, write_config
from cltv_assets_tests.e2e.shop import deliver, lines_of_shop, months_of

JAN, FEB = months_of("2011-01", 2)
FILES = {
    "end_month": "2011-02",
    "customers": {"path": "customers.csv", "id": "customer", "attributes": ["country"]},
    "acquisition_costs": {"path": "costs.csv"},
}
CUSTOMERS = ["customer,country", *(f"C{n:03d},{'UK' if n % 2 else 'FR'}" for n in range(50))]
COSTS = ["month,spend", "2011-01,1000.00", "2011-02,1200.00", "2011-02,100.00"]
Status = Callable[[], tuple[int, str]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop with two months and both files, all made. Tests must not touch it."""
    home = tmp_path_factory.mktemp("made")
    deliver(home / "shop", lines_of_shop([JAN, FEB], customers=40))
    write(home / "customers.csv", CUSTOMERS)
    write(home / "costs.csv", COSTS)
    settings = settings_in(home, **FILES)
    with open_instance(settings) as instance:
        assert [result.errors for result in run_months(settings, [JAN, FEB], instance)] == [[], []]
    write_config(home, **FILES)
    return home


@pytest.fixture
def home(made: Path, tmp_path: Path) -> Path:
    """A copy of that shop to spoil."""
    shutil.copytree(made, tmp_path / "copy")
    return tmp_path / "copy"


@pytest.fixture
def status(home: Path, capsys: pytest.CaptureFixture[str]) -> Status:
    """Show the status of the copy; return the exit code and what was printed, in one line."""

    def show() -> tuple[int, str]:
        capsys.readouterr()
        code = code_of("status", "--config", str(home / "cltv.yaml"))
        return code, " ".join(capsys.readouterr().out.split())

    return show


def write(path: Path, lines: list[str]) -> None:
    path.write_text("\n".join([*lines, ""]), encoding="utf-8")


def test_files_that_say_the_same_are_no_change(home: Path, status: Status) -> None:
    assert status()[0] == 0
    # Another order, other times, others who never bought, and a month that is yet to come.
    write(home / "customers.csv", [CUSTOMERS[0], "new,DE", *reversed(CUSTOMERS[1:45])])
    write(home / "costs.csv", [COSTS[0], COSTS[3], COSTS[2], "2011-01-07,400", "2011-01-31,600.0", "2011-03,77"])
    for name in ("customers.csv", "costs.csv"):
        os.utime(home / name, ns=(1, 1))
    code, said = status()
    assert (code, said.endswith("All 2 months are in order.")) == (0, True)


def test_customers_who_moved_make_the_newest_month_stale(home: Path, status: Status) -> None:
    times = (home / "customers.csv").stat()
    buyers = sorted(row["customer_id"] for row in rows_of(home / "lake", "customer_attributes", "2011-02"))
    moved = [f"{buyers[0]},DE" if one.startswith(buyers[0]) else one for one in CUSTOMERS]
    write(home / "customers.csv", moved)
    # Its size and time are what they were.
    os.utime(home / "customers.csv", ns=(times.st_atime_ns, times.st_mtime_ns))
    code, said = status()
    assert code == 1
    assert "2011-02 customer_attributes changed: customers.csv has 1 other value of this month's customers" in said
    assert f"1 of 2 months needs a run: cltv run --from 2011-02 --to 2011-02 --config {home}/cltv.yaml" in said
    config = ("--config", str(home / "cltv.yaml"))
    assert code_of("run", "--from", "2011-02", "--to", "2011-02", *config) == 0
    assert status()[0] == 0


def test_other_costs_make_their_month_stale_and_what_is_made_of_it(home: Path, status: Status) -> None:
    write(home / "costs.csv", [COSTS[0], "2011-01,900.00", *COSTS[2:]])
    code, said = status()
    assert code == 1
    assert (
        "2011-01 acquisition_costs changed: costs.csv has 900.00 in 1 row for this month, 1,000.00 in 1 row was" in said
    )
    assert "2011-02 acquisition_costs changed" not in said
    assert "2 of 2 months need a run: cltv run --from 2011-01 --to 2011-02" in said
    write(home / "costs.csv", [COSTS[0], *COSTS[2:]])
    assert "costs.csv has nothing for this month, 1,000.00 in 1 row was read" in status()[1]


@pytest.mark.parametrize(
    ("name", "spoil", "because"),
    [
        pytest.param("customers", None, "There is no file at", id="no customers"),
        pytest.param("customers", "", "is empty", id="empty customers"),
        pytest.param("customers", "customer,land\nC001,UK\n", "no column 'country'", id="customers' column renamed"),
        pytest.param("customers", "customer,country\nC001,UK,x\n", "as many fields", id="a customers' line broken"),
        pytest.param("costs", None, "gone", id="no costs"),
        pytest.param("costs", "", "is empty", id="empty costs"),
        pytest.param("costs", "month,spend\n2011-01,much\n", "'much' is no amount", id="costs that are no amounts"),
    ],
)
def test_a_file_that_cannot_be_read_is_unknown(
    home: Path, status: Status, name: str, spoil: str | None, because: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = home / f"{name}.csv"
    if spoil is None:
        file.unlink()
    else:
        file.write_text(spoil, encoding="utf-8")
    section = name if name == "customers" else "acquisition_costs"
    code, said = status()
    assert code == 3
    assert f"{section}: unknown, because " in said
    assert because in said
    assert said.endswith("It cannot be known whether all is well: see above.")
    # The doctor says the same.
    assert code_of("doctor", "--config", str(home / "cltv.yaml")) == 3
    said = " ".join(capsys.readouterr().out.split())
    assert f"failed {section}: " in said
    assert because in said
