"""What depends on frequency and T alone, computed at few T and interpolated to all.

What a living customer will do is smooth in T, so for each frequency it is computed at
Chebyshev nodes (Trefethen, 2013, Approximation Theory and Approximation Practice,
chapters 5 and 8: the error falls geometrically with the number of nodes).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cltv_assets.models.estimation.statistics import FloatArray, IntArray

#: Ages at which a frequency is computed; fewer distinct ones are taken as they are.
NODES = 16


@dataclass(frozen=True, eq=False)
class AgeNodes:
    """Ages to compute at, and how to get from them to all ages.

    Parameters
    ----------
    ages : array of float64, shape (K,)
    weights : array of float64, shape (n, K)
        Row i gives the value at the i-th age asked for.
    """

    ages: FloatArray
    weights: FloatArray

    @classmethod
    def of(cls, ages: FloatArray, scale: float) -> AgeNodes:
        """Choose nodes for distinct, ascending ages.

        Parameters
        ----------
        ages : array of float64, shape (n,)
        scale : float
            Time over which tails change at age 0. Nodes are Chebyshev's in ln(scale + T):
            the models know T as alpha + T.
        """
        if len(ages) <= NODES:
            return cls(ages, np.eye(len(ages)))
        begin, end = np.log(scale + ages[0]), np.log(scale + ages[-1])
        places = -np.cos(np.pi * np.arange(NODES) / (NODES - 1))
        nodes = np.exp(begin + (end - begin) * (places + 1.0) / 2.0) - scale
        nodes[0], nodes[-1] = ages[0], ages[-1]
        wanted = 2.0 * (np.log(scale + ages) - begin) / (end - begin) - 1.0
        # Barycentric formula of the second kind (Berrut and Trefethen, 2004, SIAM Review 46(3), eq. 4.2 and 5.4).
        signs = (-1.0) ** np.arange(NODES)
        signs[[0, -1]] /= 2.0
        distance = wanted[:, None] - places[None, :]
        hit = np.abs(distance) < 1e-14
        terms = signs / np.where(hit, 1.0, distance)
        weights = terms / terms.sum(axis=1, keepdims=True)
        exact = hit.any(axis=1)
        weights[exact] = hit[exact]
        return cls(np.maximum(nodes, 0.0), weights)


@dataclass(frozen=True, eq=False)
class FrequencyGroup:
    """The customers of one frequency.

    Parameters
    ----------
    frequency : int
    rows : array of int64, shape (n,)
        Their rows in what the grid was made of.
    nodes : AgeNodes
    at : array of int64, shape (n,)
        Row of the nodes' weights that each customer's age has.
    first : int
        Position of the first node among all of the grid's.
    """

    frequency: int
    rows: IntArray
    nodes: AgeNodes
    at: IntArray
    first: int


@dataclass(frozen=True, eq=False)
class AgeGrid:
    """The nodes of many frequencies, in one order.

    Parameters
    ----------
    groups : list of FrequencyGroup
        By rising frequency.
    frequency, T : arrays, shape (N,)
        Of each node.
    """

    groups: list[FrequencyGroup]
    frequency: IntArray
    T: FloatArray

    @classmethod
    def of(cls, frequency: IntArray, T: FloatArray, scale: float) -> AgeGrid:
        """Choose the nodes of customers; for ``scale`` see `AgeNodes.of`."""
        order = np.lexsort((T, frequency))
        frequencies, begins = np.unique(frequency[order], return_index=True)
        groups: list[FrequencyGroup] = []
        first = 0
        for x, rows in zip(frequencies.tolist(), np.split(order, begins[1:]), strict=False):
            ages, at = np.unique(T[rows], return_inverse=True)
            group = FrequencyGroup(x, rows, AgeNodes.of(ages, scale), at, first)
            groups.append(group)
            first += len(group.nodes.ages)
        empty = [np.zeros(0)]
        return cls(
            groups,
            np.repeat(frequencies, [len(group.nodes.ages) for group in groups]).astype(np.int64),
            np.concatenate([group.nodes.ages for group in groups] or empty),
        )

    def interpolate(self, values: FloatArray) -> FloatArray:
        """Return what the nodes have, shape (N, H), at the customers' ages, shape (n, H)."""
        found = np.empty((sum(len(group.rows) for group in self.groups), values.shape[1]))
        for group in self.groups:
            here = values[group.first : group.first + len(group.nodes.ages)]
            found[group.rows] = (group.nodes.weights @ here)[group.at]
        return found
