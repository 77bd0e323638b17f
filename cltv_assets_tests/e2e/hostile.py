"""A delivery in which everything that others choose means something to whoever shows it."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from cltv_assets.months import Month
from cltv_assets_tests.e2e.shop import HEADER, lines_of_shop

MONTH = Month.parse("2011-01")
#: Settings of the delivery: every kind of foreign text that is shown somewhere has a column.
SETTINGS: dict[str, Any] = {
    "end_month": MONTH.key,
    "source": {
        "columns": {
            "transaction_id": "invoice",
            "customer_id": "customer",
            "transacted_at": "time",
            "quantity": "quantity",
            "unit_price": "price",
            "attributes": ["channel"],
        },
    },
}


def attacks(url: str) -> list[str]:
    """Return texts that load ``url`` or end, colour, turn or fake what shows them, if it obeys them."""
    return [
        f"![m]({url}/m.png)",
        f"![r][r]\n\n[r]: {url}/r.png",
        f'<img src="{url}/h.png" onerror="fetch(\'{url}/e\')">',
        f"<script>fetch('{url}/s')</script>",
        f"<svg onload=fetch('{url}/v')>",
        f"a | b ![c]({url}/c.png) | `c` \\| d",
        f"[l]({url}/l)",
        '=HYPERLINK("http://x.example")',
        "@SUM(1)",
        "{{ 7 * 7 }}",
        "&lt;b&gt; &#60;i&#62;",
        "`code` *a* _b_ ~~c~~",
        # What only a terminal obeys is last, and worth most: `cltv summary` shows ten customers.
        f"[link={url}/k]k[/link] [red]r",
        "\x1b[31mred\x1b[0m\x1b]8;;http://x.example\x1b\\l\x1b]8;;\x1b\\",
        "\x1b[2J\x1b[Hgone",
        "of two\nlines",
        "2011-01 complete\r\nx",
        "\u202egnp.exe \u2066a\u2069\u200f",
        "[/]",
    ]


def deliver_hostile(folder: Path, url: str) -> None:
    """Write the files below a folder, some of which have such names too."""
    plain = lines_of_shop([MONTH])[MONTH]
    _write(folder / "plain.csv", [(*line, "search", "paid") if len(line) == len(HEADER) else line for line in plain])
    odd = [
        (f"X{n}-{day}", text, f"2011-01-{day:02} 10:00:00", "1", f"{900 + n}.00", text, "paid")
        for n, text in enumerate(attacks(url))
        for day in (3, 9, 15, 21)
    ]
    # The UI shows values that ten customers or more have.
    odd += [(f"T{n}", f"T{n}", "2011-01-07 10:00:00", "1", "5.00", attacks(url)[0], "paid") for n in range(10)]
    # A check tells of a column whose words look as if such lines did not count.
    odd += [
        (f"S{n}", "C001", "2011-01-11 10:00:00", "1", "5", "x", f"cancelled {text}")
        for n, text in enumerate(attacks(url)[:3])
    ]
    # Lines that cannot be read, each with its file and line in a check.
    odd += [(f"D{n}", text, text, text, text, text, "paid") for n, text in enumerate(attacks(url))]
    odd += [(f"M{n}", text, "2011-01-05 10:00:00", "1", "5", "x", "paid", text) for n, text in enumerate(attacks(url))]
    # A slash makes a folder; a browser takes a backslash for one.
    inner = url.removeprefix("http://").replace("/", "")
    images = [f"![f](http:\\\\{inner}\\f.png)", f"<img src=http:\\\\{inner}\\i.png>"]
    names = [*images, "[/] \x1b[31m \u202e", "two\nlines"]
    for at, name in enumerate(names):
        _write(folder / f"{name}.csv", odd[at :: len(names)])


def _write(file: Path, lines: list[tuple[str, ...]]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", newline="", encoding="utf-8") as opened:
        csv.writer(opened).writerows([(*HEADER, "channel", "state"), *lines])
