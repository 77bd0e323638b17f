"""Write the table of published figures into docs/models.md, or check that it is up to date.

``python -m bench.published`` writes; with ``--check`` it changes nothing and exits with 1 where the table is stale.
"""

from __future__ import annotations

import sys
from pathlib import Path

from bench.published.figures import Figure, figures

DOCUMENT = Path(__file__).parents[2] / "docs" / "models.md"
BEGIN, END = "<!-- published figures: begin -->", "<!-- published figures: end -->"


def table() -> str:
    """Return the table as Markdown."""
    lines = ["| Figure | Published | Ours | Largest difference | Source |", "|---|---|---|---|---|"]
    lines += [_row(figure) for figure in figures()]
    return "\n".join(lines)


def _row(figure: Figure) -> str:
    cells = (
        figure.name,
        _numbers(figure.published, figure.form),
        _numbers(figure.ours, figure.form),
        # Two digits of a difference below the printed ones would only tell of rounding.
        "below 0.01 %" if figure.difference < 1e-4 else f"{figure.difference:.2%}".replace("%", " %"),
        figure.source,
    )
    return "| " + " | ".join(cells) + " |"


def _numbers(values: tuple[float, ...], form: str) -> str:
    return ", ".join(f"{value:{form}}" for value in values).replace("-", "\u2212")


def _with_table(text: str) -> str:
    head, rest = text.split(BEGIN)
    _, tail = rest.split(END)
    return f"{head}{BEGIN}\n{table()}\n{END}{tail}"


def main(arguments: list[str]) -> int:
    """Write or check; return the exit code."""
    text = DOCUMENT.read_text(encoding="utf-8")
    fresh = _with_table(text)
    if "--check" in arguments:
        if fresh != text:
            print(f"{DOCUMENT.name}: the table of published figures is stale; run `make format`.")
        return int(fresh != text)
    DOCUMENT.write_text(fresh, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
