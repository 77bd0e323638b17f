"""What the UI shows of the purchase models."""

from __future__ import annotations

from collections.abc import Sequence

from cltv_assets.figures.models import candidates_figure, histogram_figure, seasonality_figure
from cltv_assets.figures.svg import png
from cltv_assets.tables.fitted_rows import FittedModel, fitted_rows, in_words, together
from cltv_assets.tables.highlights import Highlights
from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.purchase_model.columns import PURCHASE_MODEL
from cltv_assets.tables.purchase_model.facts import customer_counts, histogram, model_view

#: Log scores differ in the third decimal, so show thousandths.
MILLI = 1000


def month_highlights(run: MonthRun) -> Highlights:
    """Return the chosen model's parameters and why it was chosen, how it fits, and how far the others are behind."""
    candidates = fitted_rows(run, PURCHASE_MODEL)
    chosen = candidates[0]
    numbers = chosen.numbers | {"model": together(candidates)}
    if chosen.choice_reason:
        numbers["why_this_model"] = in_words(chosen.choice_reason)
    numbers |= {name: chosen.row[name] for name in ("customers", "repeat_customers")}
    # Of every candidate each month, because the parameters jump where another model predicts.
    numbers |= {f"weight_{name}": round(weight, 3) for name, weight in _weights(candidates).items()}
    if (regularity := chosen.figure("regularity")) is not None:
        numbers["regularity"] = round(regularity, 3)
    view = model_view(candidates, run.settings)
    counted = histogram(run, view, customer_counts(run))
    says = "Customers by their number of repeat purchases up to the month's end" + (
        ": as counted, and as many as the fitted model expects. Bars of equal height mean that it describes them well."
        if view
        else "."
    )
    pictures = {"repeat_purchases": (lambda: png(histogram_figure(counted.actual, counted.expected)), says)}
    compared = comparison(candidates)
    if compared is not None:
        rows, what, how_to_read = compared
        pictures["candidates"] = (lambda: png(candidates_figure(rows, what)), how_to_read)
    if (season := chosen.seasonal_index) is not None:
        says = (
            "How much more or less customers buy in a calendar month than in the mean of the year, which is 1: at 1.2 "
            "a fifth more."
        )
        pictures["seasonality"] = (lambda: png(seasonality_figure(season)), says)
    return Highlights(numbers, {}, pictures)


def _weights(candidates: Sequence[FittedModel]) -> dict[str, float]:
    """Return by name the share that each candidate has in the predictions, with seasons and without together."""
    found: dict[str, float] = {}
    for one in candidates:
        found[one.name] = found.get(one.name, 0.0) + one.weight
    return found


def comparison(
    candidates: Sequence[FittedModel],
) -> tuple[list[tuple[str, float, float | None, bool]], str, str] | None:
    """Compare candidates by rolling holdouts, else by AIC; return ``None`` for fewer than two.

    Returns
    -------
    rows : list of (name, distance, standard error, chosen)
        The best first.
    what : str
        The distance with its unit.
    how_to_read : str
        A caption for the comparison.
    """

    def rows(column: str, scale: float, error: str | None) -> list[tuple[str, float, float | None, bool]]:
        found = [
            (one, value, one.figure(error) if error else None)
            for one in candidates
            if (value := one.figure(column)) is not None
        ]
        least = min((value for _, value, _ in found), default=0.0) if error is None else 0.0
        drawn = [
            (
                one.title,
                (value - least) * scale,
                None if e is None else e * scale,
                one.weight > 0.0,
            )
            for one, value, e in found
        ]
        return sorted(drawn, key=lambda row: (row[1], row[0]))

    scored = rows("holdout_deficit", MILLI, "holdout_deficit_se")
    if len(scored) > 1:
        return (
            scored,
            "Log score behind the best, 1/1000",
            "Each candidate was fitted on the history up to some months ago and judged by the probability it gave to "
            "what each customer then bought. Dot: how far behind the best; line: a standard error to both sides. Large "
            "dots predict. A line that crosses zero is as good as the best within noise.",
        )
    by_aic = rows("aic", 1.0, None)
    if len(by_aic) < 2:
        return None
    return (
        by_aic,
        "AIC above the best",
        "The history is too short to hold candidates against purchases they have not seen, so they are told apart by "
        "how well they describe it: AIC, lower is better. Large dots predict.",
    )
