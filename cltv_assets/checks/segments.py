"""Checks of segments: their sums are those of the predictions, and nobody is lost between months."""

from __future__ import annotations

import ibis.expr.types as ir

from cltv_assets.checks.check import Check, Values, Verdict
from cltv_assets.checks.structure import rows_where
from cltv_assets.schemas import cltv_predictions
from cltv_assets.steps.month_run import MonthRun
from cltv_assets.transforms import segments

#: Sums are fixed-point integers when they are taken and doubles in the table.
_ROUNDING = 1e-9


def segments_add_up() -> Check:
    """Promise that the segments of each scheme sum to the base, and the base to the predictions."""

    def measures(table: ir.Table, run: MonthRun) -> dict[str, ir.Scalar]:
        found: dict[str, ir.Scalar] = {}
        predictions = _predictions(run, 0)
        for h in run.settings.horizons_months:
            here = table.horizon_months == h
            for scheme in (segments.ALL, *segments.SCHEMES):
                where = here & (table.scheme == scheme)
                found[f"customers|{scheme}|{h}"] = table.customers.sum(where=where)
                found[f"purchases|{scheme}|{h}"] = table.expected_purchases.sum(where=where)
                found[f"value|{scheme}|{h}"] = table.expected_value.sum(where=where)
            purchases = segments.fixed_point(predictions[f"expected_purchases_{h}m"], segments.PURCHASES_POINT)
            value = segments.fixed_point(predictions[f"cltv_{h}m"], segments.MONEY_POINT)
            found[f"customers|predictions|{h}"] = predictions.count().as_scalar()
            found[f"purchases|predictions|{h}"] = purchases.sum().cast("float64").as_scalar()
            found[f"value|predictions|{h}"] = value.sum().cast("float64").as_scalar()
        return found

    def judge(values: Values, run: MonthRun) -> Verdict:
        points = {"customers": 1, "purchases": segments.PURCHASES_POINT, "value": segments.MONEY_POINT}
        wrong = []
        for what, point in points.items():
            for h in run.settings.horizons_months:
                wanted = (values[f"{what}|predictions|{h}"] or 0) / point
                for scheme in (segments.ALL, *segments.SCHEMES):
                    found = values[f"{what}|{scheme}|{h}"] or 0
                    if abs(found - wanted) > _ROUNDING * max(abs(wanted), 1.0):
                        wrong.append(f"{what} of '{scheme}', {h} months: {found:,.4f} for {wanted:,.4f}")
        customers = values[f"customers|predictions|{run.settings.horizons_months[0]}"]
        if wrong:
            return Verdict(False, f"Segments do not add up to the predictions: {'; '.join(wrong[:5])}.")
        return Verdict(True, f"Segments of each scheme add up to {customers:,} predictions.", {"customers": customers})

    return Check(
        "segments_add_up",
        "Customers, purchases and value of each scheme's segments add up to the predictions.",
        judge,
        measures,
    )


def intervals_ordered() -> Check:
    """Promise that intervals are ordered and that no segment exceeds the base."""

    def wrong(table: ir.Table, _run: MonthRun) -> ir.BooleanValue:
        bad = (table.share_of_customers > 1) | (table.share_of_value > 1)
        for name in ("expected_purchases", "expected_value"):
            bad = bad | (table[f"{name}_low"] > table[f"{name}_high"])
        return bad

    return rows_where("intervals_ordered", "Low <= high, and no share exceeds 1.", wrong)


def everyone_moved() -> Check:
    """Promise that the movement's rows hold each customer of this month and of the one before, once."""

    def measures(table: ir.Table, run: MonthRun) -> dict[str, ir.Scalar]:
        found: dict[str, ir.Scalar] = {}
        for scheme in segments.SCHEMES:
            here = table.scheme == scheme
            found[f"now|{scheme}"] = table.customers.sum(where=here & (table.to_segment != segments.GONE))
            found[f"before|{scheme}"] = table.customers.sum(where=here & (table.from_segment != segments.NEW))
        found["now"] = _predictions(run, 0).count().as_scalar()
        found["before"] = _predictions(run, 1).count().as_scalar()
        return found

    def judge(values: Values, _run: MonthRun) -> Verdict:
        now, before = values["now"], values["before"]
        if not before:
            rows = sum(values[f"now|{scheme}"] or 0 for scheme in segments.SCHEMES)
            return Verdict(rows == 0, "No predictions a month before: no movement is told.")
        wrong = [
            f"'{scheme}' has {values[f'{end}|{scheme}'] or 0:,} of {wanted:,} customers {end}"
            for scheme in segments.SCHEMES
            for end, wanted in (("now", now), ("before", before))
            if (values[f"{end}|{scheme}"] or 0) != wanted
        ]
        facts = {"customers": now, "customers_before": before}
        if wrong:
            return Verdict(False, f"Customers are missing or doubled: {'; '.join(wrong)}.", facts)
        return Verdict(True, f"{before:,} customers a month before, {now:,} now: each once.", facts)

    return Check("everyone_moved", "Every customer of both months stands in one row of each scheme.", judge, measures)


def _predictions(run: MonthRun, months_back: int) -> ir.Table:
    table = run.inputs[cltv_predictions(run.settings.horizons_months).name]
    return segments.month_rows(table, run.month.shift(-months_back).first_day)
