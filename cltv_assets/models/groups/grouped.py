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
class Group:
    """What a model says of a group's customers.

    Parameters
    ----------
    parameters : mapping of str to float
        In the time unit of the fit to all customers.
    loading : array of float64, shape (P, S)
        By how much the logs of the P parameters that may differ err for an error in each of the S numbers that all
        groups share.
    own : array of float64, shape (P, P)
        Covariance of these logs beyond that, which is the group's alone.
    """

    parameters: Parameters
    loading: FloatArray
    own: FloatArray


@dataclass(frozen=True, eq=False)
class GroupedFit:
    """A purchase model whose parameters differ between groups.

    Parameters
    ----------
    model_name : str
    base : mapping of str to float
        The parameters of all customers together, and of whoever is in no group.
    varying : tuple of str
        The P parameters that may differ.
    groups : mapping of tuple of str to Group
        By the values of the group's customers.
    shared : array of float64, shape (S, S), or None
        Covariance of what all groups share; None for that of the logs of ``varying`` in the fit to all customers.
    log_likelihood : float
        Of all customers of the groups, in nats.
    """

    model_name: str
    base: Parameters
    varying: tuple[str, ...]
    groups: Mapping[Values, Group]
    shared: FloatArray | None
    log_likelihood: float

    @property
    def differs(self) -> bool:
        """Whether any group has other parameters than all customers together."""
        return any(each.parameters != self.base for each in self.groups.values())

    def of(self, values: Values) -> Parameters:
        """Return the parameters of customers with these values."""
        return self.groups[values].parameters if values in self.groups else self.base


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
