"""Transactions of a made-up shop: a BG/NBD and Gamma-Gamma population, written month by month.

Made in chunks of customers, so that fifty million lines need no more memory than one
million. A share of the lines is as odd as real deliveries are: refunds, no customer,
no price.
"""

from __future__ import annotations

import contextlib
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

#: A year of history; the last month is the one that is modelled.
MONTHS = tuple(f"2024-{month:02d}" for month in range(1, 13))
FIRST_DAY, DAYS = np.datetime64("2024-01-01"), 366
CURRENCY = "USD"
LINES_A_CUSTOMER = 10

_CHUNK = 100_000
_MINUTES_A_DAY = 24 * 60
_SCHEMA = pa.schema(
    [
        ("order_id", pa.int64()),
        ("customer", pa.int64()),
        ("ordered_at", pa.timestamp("us")),
        ("quantity", pa.int32()),
        ("price", pa.float64()),
    ]
)


@dataclass(frozen=True)
class Shop:
    """What the population is drawn from; times in days.

    Parameters
    ----------
    r, alpha, a, b : float
        Of the BG/NBD model: rates are Gamma(r, alpha), dropout after a purchase is Beta(a, b).
    p, q, v : float
        Of the Gamma-Gamma model of an order's value.
    refunds, without_customer, without_price : float
        Shares of the lines.
    """

    r: float = 0.9
    alpha: float = 60.0
    a: float = 0.8
    b: float = 3.0
    p: float = 6.0
    q: float = 4.0
    v: float = 30.0
    refunds: float = 0.01
    without_customer: float = 0.005
    without_price: float = 0.001


def write_transactions(folder: Path, lines: int, seed: int = 1, shop: Shop | None = None) -> None:
    """Write ``lines`` transactions of ``lines / 10`` customers as ``<month>.parquet``.

    Does nothing if ``folder`` holds them already.

    Parameters
    ----------
    folder : Path
    lines : int
        A multiple of ten.
    seed : int
    shop : Shop, optional

    Raises
    ------
    ValueError
        If ``lines`` is no positive multiple of ten.
    """
    if lines <= 0 or lines % LINES_A_CUSTOMER:
        raise ValueError(f"{lines} transactions: it has to be a positive multiple of {LINES_A_CUSTOMER}")
    shop = shop or Shop()
    recipe = json.dumps({"lines": lines, "seed": seed, **asdict(shop)})
    done = folder / "recipe.json"
    if done.is_file() and done.read_text() == recipe:
        return
    folder.mkdir(parents=True, exist_ok=True)
    done.unlink(missing_ok=True)
    with contextlib.ExitStack() as stack:
        writers = [
            stack.enter_context(pq.ParquetWriter(folder / f"{month}.parquet", _SCHEMA, compression="zstd"))
            for month in MONTHS
        ]
        customers = lines // LINES_A_CUSTOMER
        for first in range(0, customers, _CHUNK):
            rng = np.random.default_rng([seed, first])
            _write_chunk(rng, first, min(_CHUNK, customers - first), shop, writers)
    done.write_text(recipe)


def _write_chunk(rng: np.random.Generator, first: int, count: int, shop: Shop, writers: list[pq.ParquetWriter]) -> None:
    owner, day = _orders(rng, count, shop)
    lines = _lines_of_orders(rng, len(owner), count * LINES_A_CUSTOMER)
    level = rng.gamma(shop.q, 1 / shop.v, count)
    # An order's value is Gamma(p, level); it is spread over its lines.
    price = np.maximum((rng.gamma(shop.p, 1 / level[owner]) / lines).round(2), 0.01)
    # No order of another chunk has the same number.
    order = first * LINES_A_CUSTOMER + np.arange(len(owner))
    at = FIRST_DAY.astype("datetime64[m]") + day * _MINUTES_A_DAY + rng.integers(0, _MINUTES_A_DAY, len(owner))
    which = np.repeat(np.arange(len(owner)), lines)
    month = at.astype("datetime64[M]").astype(np.int64) - FIRST_DAY.astype("datetime64[M]").astype(np.int64)
    quantity = np.where(rng.random(len(which)) < shop.refunds, -1, 1).astype(np.int32)
    columns = {
        "order_id": order[which],
        "customer": pa.array(first + owner[which], mask=rng.random(len(which)) < shop.without_customer),
        "ordered_at": pa.array(at[which].astype("datetime64[us]")),
        "quantity": quantity,
        "price": pa.array(price[which], mask=rng.random(len(which)) < shop.without_price),
    }
    table = pa.table(columns, schema=_SCHEMA)
    of_line = month[which]
    # As shops deliver: a month's lines in the order of their time.
    in_order = np.lexsort((at[which], of_line))
    bounds = np.searchsorted(of_line[in_order], np.arange(len(MONTHS) + 1))
    for writer, begin, end in zip(writers, bounds[:-1], bounds[1:], strict=True):
        if end > begin:
            writer.write_table(table.take(in_order[begin:end]))


def _orders(rng: np.random.Generator, count: int, shop: Shop) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return each order's customer (0 to ``count``) and day (0 to ``DAYS``), by the BG/NBD story."""
    rate = rng.gamma(shop.r, 1 / shop.alpha, count)
    dropout = rng.beta(shop.a, shop.b, count)
    alive = np.arange(count)
    # Customers join evenly over the year, with their first order.
    time = rng.uniform(0, DAYS, count)
    owners, days = [], []
    while len(alive):
        owners.append(alive)
        days.append(time.astype(np.int64))
        time = time + rng.exponential(1 / rate[alive])
        # The model's dropout follows repeat orders only.
        stays = time < DAYS
        if len(owners) > 1:
            stays &= rng.random(len(alive)) >= dropout[alive]
        alive, time = alive[stays], time[stays]
    return np.concatenate(owners), np.concatenate(days)


def _lines_of_orders(rng: np.random.Generator, orders: int, total: int) -> npt.NDArray[np.int64]:
    """Return how many lines each order has: at least one, ``total`` together."""
    if orders > total:
        raise ValueError("the shop's customers order more often than they have lines; raise alpha")
    return 1 + np.bincount(rng.integers(0, orders, total - orders), minlength=orders)


if __name__ == "__main__":
    write_transactions(Path(sys.argv[1]), int(sys.argv[2]))
