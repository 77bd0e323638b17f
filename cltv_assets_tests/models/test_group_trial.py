"""Whether groups are used: in made-up shops of three channels that differ, and where a channel is but a name."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from cltv_assets.models.arrays import FloatArray
from cltv_assets.models.choosing.candidates import Contender
from cltv_assets.models.choosing.choice import Choice, choose_model
from cltv_assets.models.choosing.histories import OperationalTime
from cltv_assets.models.estimation.fitting import fit_purchase_model
from cltv_assets.models.groups.grouped import GroupedFit
from cltv_assets.models.groups.trial import GroupChoice, Split, Way, gain_of, try_groups
from cltv_assets.models.purchase.registry import model_named
from cltv_assets_tests.models.shops import CHRISTMAS, FLAT, Shop, simulate

#: r and alpha in days, a and b.
CHANNELS = {
    "mail": ((0.9, 30.0), (0.5, 3.0)), "search": ((0.6, 40.0), (0.8, 2.5)), "social": ((0.3, 50.0), (1.5, 1.5)),
}  # fmt: skip
PLAIN = OperationalTime(None, 1)
END, UNTIL = "2003-06-30", "2003-12-31"


def shop_of_channels(seed: int, n: int, index: FloatArray = FLAT) -> tuple[Shop, np.ndarray]:
    """Return a shop of three channels that differ, and the channel of each row."""
    parts, names, known = [], [], 0
    for k, (name, (rates, dropout)) in enumerate(CHANNELS.items()):
        part = simulate(10 * seed + k, n, index, years=3.0, acquired=2.4, rates=rates, dropout=dropout)
        parts.append(Shop(part.customer + known, part.day))
        names.append(np.full(len(part.day), name))
        known += n
    shop = Shop(np.concatenate([each.customer for each in parts]), np.concatenate([each.day for each in parts]))
    return shop, np.concatenate(names)


def split_of(shop: Shop, labels: Sequence[np.ndarray], way: Way, end: str = END) -> Split:
    """Split a shop by the values of its rows, as the tables do."""
    keys = np.array(["|".join(row) for row in zip(*labels, strict=True)])
    parts = {tuple(key.split("|")): Shop(shop.customer[keys == key], shop.day[keys == key]) for key in np.unique(keys)}
    held = {values: part.folds(end, number=3) for values, part in parts.items()}
    folds = [{values: each[k] for values, each in held.items() if len(each[k].bought)} for k in range(3)]
    histories = {values: each for values, part in parts.items() if len((each := part.histories(end)).frequency)}
    return Split(("channel", "country")[: len(labels)], way, histories, folds)


def choose(shop: Shop, seasonality: str = "none") -> Choice:
    known = Shop(shop.customer[shop.day <= np.datetime64(END)], shop.day[shop.day <= np.datetime64(END)])
    return choose_model(known.histories(END), known.folds(END), known.counts(), "auto", seasonality)


def expected(choice: Choice, found: GroupChoice, split: Split, values: tuple[str, ...], *, groups: bool) -> float:
    """Return the purchases that a group's customers are expected to make after the month's end."""
    total, histories = 0.0, split.histories[values]
    for one in (choice.chosen, *choice.others):
        if one.weight > 0.0:
            clock = OperationalTime(one.index, 1)
            horizon = np.array([float(clock.elapsed(np.datetime64(END), np.datetime64(UNTIL)))])
            fit = found.fits.get(one.name) if groups else None
            parameters = one.fit.parameters if fit is None else fit.of(values)
            each = model_named(one.name).expected_purchases(parameters, histories.patterns(clock), horizon)[:, 0]
            total += one.weight * float((histories.weights * each).sum())
    return total


def bought(shop: Shop, rows: np.ndarray) -> int:
    """Return what those of these rows who had bought by the month's end bought after it."""
    customer, day = shop.customer[rows], shop.day[rows]
    known = np.unique(customer[day <= np.datetime64(END)])
    later = (day > np.datetime64(END)) & (day <= np.datetime64(UNTIL))
    return int((later & np.isin(customer, known)).sum())


@pytest.fixture(scope="module")
def channels() -> tuple[Shop, np.ndarray, Choice]:
    shop, names = shop_of_channels(1, 700)
    return shop, names, choose(shop)


@pytest.mark.parametrize("way", ["pooled", "covariates"])
def test_channels_that_differ_are_told_apart_and_each_of_them_comes_out_right(channels, way):
    shop, names, choice = channels
    split = split_of(shop, [names], way)
    found = try_groups(choice, [split], 1)
    assert found.split is split
    assert found.gain > 3.0 * found.error > 0.0
    assert f"{found.gain:.4f} nats" in found.why
    assert "in 3 groups" in found.why
    missed = {True: [], False: []}
    for name in ("mail", "search", "social"):
        actual = bought(shop, names == name)
        for groups in (True, False):
            said = expected(choice, found, split, (name,), groups=groups)
            missed[groups].append(math.log(said / actual))
    # By group the totals are much nearer, with covariates less so: r differs too. Together they are no further off.
    assert np.sqrt(np.mean(np.square(missed[True]))) < 0.6 * np.sqrt(np.mean(np.square(missed[False])))
    assert max(np.abs(missed[True])) < (0.2 if way == "pooled" else 0.35)
    totals = [sum(expected(choice, found, split, v, groups=g) for v in split.histories) for g in (True, False)]
    everybody = bought(shop, np.ones(len(names), dtype=bool))
    assert abs(totals[0] / everybody - 1.0) < max(abs(totals[1] / everybody - 1.0), 0.05)


def test_a_model_of_little_weight_predicts_everybody_alike(channels):
    shop, names, choice = channels
    split = split_of(shop, [names], "pooled")
    little = next(one for one in choice.others if one.name == "mbg_nbd")
    for weight, apart in ((0.1, {choice.chosen.name}), (0.3, {choice.chosen.name, "mbg_nbd"})):
        models = Choice(replace(choice.chosen, weight=1.0 - weight), (replace(little, weight=weight),), "")
        assert set(try_groups(models, [split], 1).fits) == apart


def random_names(shop: Shop, seed: int) -> np.ndarray:
    draws = np.random.default_rng(seed).choice(["mail", "search", "social"], shop.customer.max() + 1, p=[0.5, 0.3, 0.2])
    return draws[shop.customer]


def test_a_channel_that_is_but_a_name_is_not_used_and_would_do_next_to_no_harm():
    gains = {"pooled": [], "covariates": []}
    for seed in range(3):
        shop = simulate(60 + seed, 700, years=3.0, acquired=2.4)
        fit = fit_purchase_model(shop.histories(END).statistics(PLAIN), "bg_nbd")
        one = Contender(fit, weight=1.0)
        ways = [split_of(shop, [random_names(shop, seed)], way) for way in gains]
        for way in ways:
            gain, error = gain_of(way, [one], PLAIN)
            assert gain < 2.0 * error or gain == error == 0.0
            gains[way.way].append(gain)
    # A customer's score is about -1. Drawn to all, groups lose next to nothing; covariates cost a little more.
    assert np.abs(gains["pooled"]).max() < 2e-3
    assert min(gains["covariates"]) > -1e-2
    found = try_groups(Choice(one, (), ""), ways, 1)
    assert found.split is None
    assert found.fits == {}
    assert found.why.startswith("No groups: no attribute helped beyond noise")


def test_a_name_beside_a_channel_is_left_out(channels):
    shop, names, choice = channels
    splits = [split_of(shop, [each], "pooled") for each in (random_names(shop, 3), names)]
    assert try_groups(choice, splits, 1).split is splits[1]


def test_groups_stand_on_the_clock_of_a_season():
    shop, names = shop_of_channels(4, 700, CHRISTMAS)
    split = split_of(shop, [names], "pooled")
    choice = choose(shop, "monthly")
    found = try_groups(choice, [split], 1)
    assert choice.chosen.index is not None
    assert found.split is split
    assert isinstance(found.fits[choice.chosen.name], GroupedFit)
    actual = bought(shop, names == "social")
    said = [expected(choice, found, split, ("social",), groups=groups) for groups in (True, False)]
    assert abs(said[0] / actual - 1.0) < 0.5 * abs(said[1] / actual - 1.0)


def test_one_holdout_is_too_few(channels):
    shop, names, choice = channels
    split = split_of(shop, [names], "pooled")
    short = Split(split.attributes, split.way, split.histories, split.folds[:1])
    assert try_groups(choice, [short], 1).why == "No groups: too few holdouts to tell whether attributes help."


def test_without_attributes_nothing_is_tried_or_said(channels):
    found = try_groups(channels[2], [], 1)
    assert (found.split, found.fits, found.why) == (None, {}, "")
