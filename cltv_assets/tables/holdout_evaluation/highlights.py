"""What the UI shows of the predictions whose horizon ended with a month."""

from __future__ import annotations

from cltv_assets.figures import wording
from cltv_assets.figures.holdout import deciles_figure, totals_by_contender_figure
from cltv_assets.figures.svg import png
from cltv_assets.tables.highlights import Highlights
from cltv_assets.tables.holdout_evaluation.cases import holdout_cases
from cltv_assets.tables.month_run import MonthRun


def month_highlights(run: MonthRun) -> Highlights:
    """Return the bias of each horizon, and predicted beside actual purchases."""
    cases = holdout_cases(run)
    numbers: dict[str, object] = {
        f"bias_{case.target}_{case.horizon}m": round(case.model.bias, 6)
        for case in cases
        if case.model.bias is not None
    }
    drawn = [case for case in cases if case.target == "purchases"]
    if not drawn:
        return Highlights({"predictions_to_judge": "none yet: no prediction's horizon ends with this month"})
    contenders = [case.labelled for case in drawn]
    labels = {label for found in contenders for label in found}
    totals = {label: [found[label].predicted if label in found else 0.0 for found in contenders] for label in labels}
    horizons, actual = [case.horizon for case in drawn], [case.actual for case in drawn]
    says = (
        f"Purchases of all customers in the months up to {wording.day(run.month)}: the first bar of a group is what "
        "happened, the others what the models and naive rules had predicted so many months before. The nearer to the "
        "first, the better."
    )
    pictures = {"predicted_and_actual": (lambda: png(totals_by_contender_figure(horizons, actual, totals)), says)}
    tenths = drawn[-1].deciles
    if tenths:
        says = (
            f"Customers in tenths by the purchases predicted for them {wording.months(drawn[-1].horizon)} ago: mean "
            "purchases of a customer, as predicted and as they then made them. Equal heights mean right predictions."
        )
        means = [one.predicted for one in tenths], [one.actual for one in tenths]
        pictures["calibration"] = (lambda: png(deciles_figure(*means, "Purchases a customer")), says)
    return Highlights(numbers, {}, pictures)
