"""RFM segments over all scores, sums by group, and movement between two months, against plain Python."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict

import ibis
import numpy as np
import pyarrow as pa
import pytest

from cltv_assets.tables import group_totals, segment_movement, segmentation

SCORES = list(itertools.product(range(1, 6), repeat=3))


@pytest.fixture
def named(engine) -> dict[tuple[int, int, int], str]:
    """Return what the engine calls each combination of scores."""
    return names_of(engine, gave_back=False)


def names_of(engine, *, gave_back: bool) -> dict[tuple[int, int, int], str]:
    columns = {name: pa.array([scores[i] for scores in SCORES], pa.int32()) for i, name in enumerate("rfm")}
    table = engine.from_arrow(pa.table(columns))
    name = segmentation.rfm_segment(table.r, table.f, table.m, ibis.literal(gave_back))
    return {(row["r"], row["f"], row["m"]): row["name"] for row in engine.collect(table.mutate(name=name)).to_pylist()}


def test_who_gave_everything_back_is_not_loyal(engine, named):
    returning = names_of(engine, gave_back=True)
    moved = {scores: name for scores, name in returning.items() if name != named[scores]}
    assert set(moved.values()) == {"need attention"}
    assert {named[scores] for scores in moved} == {"champions", "loyal", "potential loyalists"}
    assert not {"champions", "loyal", "potential loyalists"} & set(returning.values())


def test_each_of_the_125_combinations_has_one_segment(named):
    boxes = Counter(
        scores
        for ranges in segmentation.RFM_BOXES.values()
        for box in ranges
        for scores in itertools.product(*(range(low, high + 1) for low, high in box))
    )
    # Not by the order of the rules: no combination lies in two boxes.
    assert boxes == Counter(SCORES)
    assert set(named.values()) == set(segmentation.RFM_SEGMENTS)
    # A scheme's names must not be taken for newcomers and leavers.
    assert not {segmentation.NEW, segmentation.GONE, segmentation.ALL} & {
        *segmentation.RFM_SEGMENTS,
        *segmentation.VALUE_SEGMENTS,
    }


@pytest.mark.parametrize(
    ("scores", "name"),
    [
        ((5, 5, 5), "champions"),
        ((4, 5, 1), "loyal"),
        ((5, 1, 1), "new customers"),
        ((5, 1, 5), "new customers"),
        ((4, 1, 3), "promising"),
        ((5, 3, 3), "potential loyalists"),
        ((3, 3, 3), "need attention"),
        ((3, 1, 1), "about to sleep"),
        ((2, 5, 5), "at risk"),
        ((1, 5, 5), "cannot lose them"),
        ((2, 1, 1), "hibernating"),
        ((1, 1, 1), "lost"),
    ],
)
def test_segments_are_what_their_names_say(named, scores, name):
    assert named[scores] == name


def test_buying_more_recently_never_makes_a_segment_worse(named):
    # Good, fading, gone: what a name says of how long ago the last purchase was.
    stage = {
        **dict.fromkeys(("champions", "loyal", "potential loyalists", "new customers", "promising"), 2),
        **dict.fromkeys(("need attention", "about to sleep"), 1),
        **dict.fromkeys(("cannot lose them", "at risk", "hibernating", "lost"), 0),
    }
    for f, m in itertools.product(range(1, 6), repeat=2):
        by_recency = [stage[named[r, f, m]] for r in range(1, 6)]
        assert by_recency == sorted(by_recency)


def predictions(rng, customers) -> pa.Table:
    n = len(customers)
    frequency = rng.integers(0, 3, n)
    return pa.table(
        {
            "customer_id": customers,
            "frequency": pa.array(frequency, pa.int64()),
            "recency": np.where(frequency > 0, rng.integers(1, 4, n) / 7.0, 0.0),
            "T": rng.integers(4, 6, n) / 7.0,
            "monetary_value": np.where(frequency > 0, np.round(rng.lognormal(3, 1, n), 4), 0.0),
            "gross_margin": pa.array(rng.choice([0.25, -0.1, None], n).tolist(), pa.float64()),
            "expected_purchases_3m": rng.random(n),
            "cltv_3m": rng.lognormal(2, 2, n),
            "value_segment": rng.choice(segmentation.VALUE_SEGMENTS, n),
            "rfm_segment": rng.choice(segmentation.RFM_SEGMENTS[:4], n),
            "model_group": pa.array(rng.choice(['["a"]', '["b"]', None], n).tolist(), pa.string()),
        }
    )


def test_groups_hold_every_customer_once_and_their_sums(engine):
    table = predictions(np.random.default_rng(1), [f"{i:04}" for i in range(2_000)])
    groups = engine.collect(group_totals.segment_groups(engine.from_arrow(table), 7, [3], 0.5)).to_pylist()
    wanted: dict[tuple, list[dict]] = defaultdict(list)
    for row in table.to_pylist():
        days = round(row["T"] * 7), round(row["recency"] * 7)
        wanted[(row["frequency"], *days, row["value_segment"], row["rfm_segment"], row["model_group"])].append(row)
    assert {tuple(group[key] for key in group_totals.GROUP_KEY) for group in groups} == set(wanted)
    assert len(groups) == len(wanted)
    for group in groups:
        rows = wanted[tuple(group[key] for key in group_totals.GROUP_KEY)]
        assert group["customers"] == len(rows)
        money = [(0.5 if row["gross_margin"] is None else row["gross_margin"], row["monetary_value"]) for row in rows]
        assert group["margins"] == pytest.approx(sum(g for g, _ in money))
        assert group["values"] == pytest.approx(sum(g * m for g, m in money), abs=1e-4 * len(rows))
        assert group["margin_squares"] == pytest.approx(sum(g * g for g, _ in money))
        assert group["margin_values"] == pytest.approx(sum(g * g * m for g, m in money), abs=1e-3)
        assert group["value_squares"] == pytest.approx(sum((g * m) ** 2 for g, m in money), abs=1e-3)
        assert float(group["cltv_3m"]) == pytest.approx(sum(row["cltv_3m"] for row in rows), abs=1e-4 * len(rows))
        bought = sum(row["expected_purchases_3m"] for row in rows)
        assert group["purchases_3m"] / 1e6 == pytest.approx(bought, abs=1e-6 * len(rows))


def test_movement_tells_where_everyone_came_from_and_went(engine):
    rng = np.random.default_rng(2)
    before = predictions(rng, [f"{i:04}" for i in range(500)])
    # The first fifty are gone, fifty are new.
    now = predictions(rng, [f"{i:04}" for i in range(50, 550)])
    found = engine.collect(segment_movement.movement(engine.from_arrow(now), engine.from_arrow(before), 3)).to_pylist()
    old, new = ({row["customer_id"]: row for row in table.to_pylist()} for table in (before, now))
    wanted: Counter = Counter()
    value: Counter = Counter()
    for customer in old.keys() | new.keys():
        a, b = old.get(customer), new.get(customer)
        key = (
            a["value_segment"] if a else "new",
            a["rfm_segment"] if a else "new",
            b["value_segment"] if b else "gone",
            b["rfm_segment"] if b else "gone",
        )
        wanted[key] += 1
        value[key] += round(b["cltv_3m"] if b else 0.0, 4)
    keys = ("from_value", "from_rfm", "to_value", "to_rfm")
    assert {tuple(row[key] for key in keys): row["customers"] for row in found} == wanted
    for row in found:
        wanted_value = value[tuple(row[key] for key in keys)]
        assert float(row["value_now"]) == pytest.approx(wanted_value, abs=1e-4 * row["customers"])
    assert sum(row["customers"] for row in found if row["to_value"] == "gone") == 50


def test_where_no_spend_is_known_frequency_stands_for_it(engine, named):
    scores = list(itertools.product(range(1, 6), repeat=2))
    table = engine.from_arrow(
        pa.table({"r": pa.array([r for r, _ in scores], pa.int32()), "f": pa.array([f for _, f in scores], pa.int32())})
    )
    name = segmentation.rfm_segment(table.r, table.f, ibis.null("int32"), ibis.literal(False))
    found = engine.collect(table.mutate(name=name)).to_pylist()
    assert {(row["r"], row["f"]): row["name"] for row in found} == {(r, f): named[r, f, f] for r, f in scores}
