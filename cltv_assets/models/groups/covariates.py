"""Static covariates: attributes move a customer's rates of purchases and of dropout by constant factors.

With z_i = 1 for each value of an attribute that customer i has and that is not the most frequent one,

    alpha_i = alpha_0 exp(-gamma_1' z_i),
    beta_i = beta_0 exp(-gamma_2' z_i) in the Pareto/NBD,
    a_i = a_0 exp(gamma_2' z_i) and b_i = b_0 exp(gamma_3' z_i) in the BG/NBD and MBG/NBD,

while r and s are the same for all: Fader and Hardie (2007), Incorporating Time-Invariant Covariates into the
Pareto/NBD and BG/NBD Models, http://www.brucehardie.com/notes/019/. A gamma_1 of 0.1 says that customers buy e^0.1
times as often.

Customers of the same values are a cell with statistics of its own, so the cost stays with patterns. Several
attributes add up in the logs: a cell's effects are the sums of those of its values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cltv_assets.errors import ModelError
from cltv_assets.models.arrays import BoolArray, FloatArray
from cltv_assets.models.estimation.optimise import Bounds, climbed, loss_per_customer, maximise
from cltv_assets.models.groups.grouped import REACH, REST, Group, GroupedFit, Values, logs, positions, values_of
from cltv_assets.models.purchase.registry import model_named
from cltv_assets.models.sufficient_statistics import Objective, Parameters, PurchaseStatistics

#: Customers from which on a value has effects of its own: nothing draws them towards those of others.
LEAST = 50

#: Parameters that covariates move, with the sign of gamma in their logs.
SIGNS = {"alpha": -1.0, "beta": -1.0, "a": 1.0, "b": 1.0}


@dataclass(frozen=True)
class Coefficient:
    """The effect of a value of an attribute on a parameter: ``gamma`` and its standard error.

    The error is None where the data do not tell the effect, and after a quick search.
    """

    attribute: str
    value: str
    parameter: str
    gamma: float
    error: float | None


@dataclass(frozen=True, eq=False)
class CovariateFit(GroupedFit):
    """A model with covariates.

    Parameters
    ----------
    coefficients : sequence of Coefficient
        For each parameter that moves, and each value of an attribute but the most frequent one.
    """

    coefficients: Sequence[Coefficient]


def fit_covariates(
    name: str,
    base: Parameters,
    varying: Sequence[str],
    attributes: Sequence[str],
    cells: Mapping[Values, PurchaseStatistics],
    *,
    quick: bool = False,
) -> CovariateFit:
    """Fit a model with covariates by maximum likelihood.

    Parameters
    ----------
    name : str
        A name of `model_named`.
    base : mapping of str to float
        The parameters of all customers without covariates, in the statistics' unit of time.
    varying : sequence of str
        The parameters that the data of all customers tell. The others stay as in ``base``.
    attributes : sequence of str
    cells : mapping of tuple of str to PurchaseStatistics
        The customers by their values of the attributes.
    quick : bool
        Whether three digits and no standard errors will do, as in `quick_parameters`.

    Raises
    ------
    ModelError
        If the search does not converge.
    """
    columns, rows = _design(attributes, cells)
    likelihoods = [model_named(name).likelihood(each) for each in cells.values()]
    moved = [each for each in varying if each in SIGNS]
    search = _Search(logs(name, base), positions(name, varying), positions(name, moved), rows, likelihoods)
    customers = float(sum(each.weights.sum() for each in cells.values()))
    point, covariance = search.start, np.zeros((search.size, search.size))
    unknown: BoolArray = np.ones(search.size, dtype=np.bool_)
    if quick and columns:
        found = climbed(
            loss_per_customer(search, customers), search.start, search.bounds, maxiter=200, ftol=1e-10, gtol=1e-5
        )
        if not np.isfinite(found.fun):
            raise ModelError(f"The covariates of {name} cannot be fitted.", "Fit on more months.")
        point = np.asarray(found.x, dtype=np.float64)
    elif columns:
        best = maximise(search, [search.start], search.bounds, customers)
        point, covariance, unknown = best.log_parameters, np.nan_to_num(best.log_covariance), best.unidentified
    effects = [(parameter, *column) for parameter in moved for column in columns]
    coefficients = [
        Coefficient(
            attribute,
            value,
            parameter,
            SIGNS[parameter] * float(point[at]),
            None if unknown[at] else float(np.sqrt(covariance[at, at])),
        )
        for at, (parameter, attribute, value) in enumerate(effects, start=len(varying))
    ]
    own, places = np.zeros((len(varying),) * 2), positions(name, varying)
    groups = {
        values: Group(
            # To the last digit without effects: the logs of parameters are not quite their own inverse.
            values_of(name, search.log_parameters(cell, point)) if columns else dict(base),
            search.matrix(cell)[places],
            own,
        )
        for cell, values in enumerate(cells)
    }
    return CovariateFit(name, base, tuple(varying), groups, covariance, search(point)[0], coefficients)


def _design(
    attributes: Sequence[str], cells: Mapping[Values, PurchaseStatistics]
) -> tuple[list[tuple[str, str]], FloatArray]:
    """Return an effect for each value of an attribute but the most frequent one, and which of them cells have.

    A value of few customers has the effects of the most frequent one.

    Returns
    -------
    columns : list of (attribute, value)
    rows : array of float64, shape (cells, columns)
        0 or 1.
    """
    columns, indicators = [], []
    for at, attribute in enumerate(attributes):
        customers: dict[str, float] = {}
        for values, statistics in cells.items():
            customers[values[at]] = customers.get(values[at], 0.0) + float(statistics.weights.sum())
        # Those of no value are compared with a value, too.
        most = max(sorted(customers), key=lambda value: (value != REST, customers[value]))
        for value in sorted(customers):
            if value != most and customers[value] >= LEAST:
                columns.append((attribute, value))
                indicators.append([float(values[at] == value) for values in cells])
    return columns, np.array(indicators).reshape(len(columns), len(cells)).T


@dataclass(frozen=True, eq=False)
class _Search:
    """The log-likelihood over the free log parameters and, after them, effects by parameter and column.

    An effect is what is added to a log parameter: gamma but for its sign, see `SIGNS`.
    """

    known: FloatArray
    free: Sequence[int]
    moved: Sequence[int]
    rows: FloatArray
    likelihoods: Sequence[Objective]

    @property
    def size(self) -> int:
        """How many numbers are searched."""
        return len(self.free) + len(self.moved) * int(self.rows.shape[1])

    @property
    def start(self) -> FloatArray:
        """The model without covariates."""
        return np.concatenate((self.known[list(self.free)], np.zeros(self.size - len(self.free))))

    @property
    def bounds(self) -> Bounds:
        """Within a factor of 20 of the model without covariates."""
        return self.start - REACH, self.start + REACH

    def matrix(self, cell: int) -> FloatArray:
        """Return how a cell's log parameters depend on what is searched, shape (k, size)."""
        found = np.zeros((len(self.known), self.size))
        found[list(self.free), np.arange(len(self.free))] = 1.0
        width = self.rows.shape[1]
        for order, place in enumerate(self.moved):
            first = len(self.free) + order * width
            found[place, first : first + width] = self.rows[cell]
        return found

    def log_parameters(self, cell: int, point: FloatArray) -> FloatArray:
        """Return the log parameters of a cell."""
        held = self.known.copy()
        held[list(self.free)] = 0.0
        return np.asarray(held + self.matrix(cell) @ point, dtype=np.float64)

    def __call__(self, point: FloatArray) -> tuple[float, FloatArray]:
        """Return the log-likelihood of all cells and its gradient."""
        total, gradient = 0.0, np.zeros(self.size)
        for cell, likelihood in enumerate(self.likelihoods):
            value, slope = likelihood(self.log_parameters(cell, point))
            total += value
            gradient += slope @ self.matrix(cell)
        return total, gradient
