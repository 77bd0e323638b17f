"""Customers by the values of their attributes, and a purchase model with parameters for each of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from cltv_assets.models.arrays import FloatArray
from cltv_assets.models.purchase.registry import model_named
from cltv_assets.models.sufficient_statistics import Objective, Parameters, PurchaseStatistics

#: The values of a group's customers, one for each attribute.
Values = tuple[str, ...]

#: Stands for all values that too few customers have to be a group. No delivered value is empty.
REST = ""

#: How far a group's log parameter may lie from that of all: a factor 20. Beyond, the data do not tell it.
REACH = 3.0


@dataclass(frozen=True, eq=False)
class GroupedFit:
    """A purchase model whose parameters differ between groups.

    Parameters
    ----------
    model_name : str
    base : mapping of str to float
        The parameters of all customers together, and of whoever is in no group.
    parameters : mapping of tuple of str to mapping of str to float
        The parameters of each group, in the time unit of ``base``, by its values.
    log_covariance : mapping of tuple of str to mapping of str to mapping of str to float
        Of each group: the covariance of its log parameters for those that differ between groups, those of all taken
        as known.
    log_likelihood : float
        Of all customers of the groups, in nats.
    """

    model_name: str
    base: Parameters
    parameters: Mapping[Values, Parameters]
    log_covariance: Mapping[Values, Mapping[str, Mapping[str, float]]]
    log_likelihood: float

    @property
    def differs(self) -> bool:
        """Whether any group has other parameters than all customers together."""
        return any(each != self.base for each in self.parameters.values())

    def of(self, values: Values) -> Parameters:
        """Return the parameters of customers with these values."""
        return self.parameters.get(values, self.base)


def logs(name: str, parameters: Parameters) -> FloatArray:
    """Return log parameters in the order of the model's likelihood."""
    return np.log([parameters[each] for each in model_named(name).parameter_names])


def values_of(name: str, log_parameters: FloatArray) -> dict[str, float]:
    """Return parameters by name."""
    return dict(zip(model_named(name).parameter_names, np.exp(log_parameters).tolist(), strict=True))


def positions(name: str, chosen: Sequence[str]) -> list[int]:
    """Return the places of some of a model's parameters."""
    return [model_named(name).parameter_names.index(each) for each in chosen]


def along(objective: Objective, base: FloatArray, at: Sequence[int]) -> Objective:
    """Return a log-likelihood over what is added to some of the log parameters, and its gradient by that."""
    places = list(at)

    def moved(effects: FloatArray) -> tuple[float, FloatArray]:
        point = base.copy()
        point[places] += effects
        value, gradient = objective(point)
        return value, gradient[places]

    return moved


def merged(parts: Sequence[PurchaseStatistics]) -> PurchaseStatistics:
    """Return the customers of all parts."""
    columns = ("frequency", "recency", "T", "weights")
    return PurchaseStatistics(*(np.concatenate([getattr(part, name) for part in parts]) for name in columns))
