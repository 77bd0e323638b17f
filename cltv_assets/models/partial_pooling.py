"""Draws the figures of groups towards that of all, the more the less a group's own data say.

Groups differ beyond chance by a variance tau^2, which the moment estimator of DerSimonian and Laird (1986,
Meta-analysis in clinical trials, Controlled Clinical Trials 7, 177-188) finds: with estimates y_i of known variance
v_i around a known centre c, Q = sum (y_i - c)^2 / v_i has the mean k + tau^2 sum 1 / v_i for k groups.

- Ratios of an actual to an expected count are gamma-Poisson: theta_i ~ Gamma of mean 1 and variance tau^2, and the
  count A_i given theta_i is Poisson of mean theta_i E_i. The posterior mean is (A_i + k) / (E_i + k) with k = 1 / tau^2
  (Clayton and Kaldor 1987, Empirical Bayes estimates of age-standardized relative risks for use in disease mapping,
  Biometrics 43, 671-681). Purchases of a group vary more than a Poisson count, because customers differ. So both
  counts are divided by their dispersion phi_i, as in a quasi-likelihood (McCullagh and Nelder 1989, Generalized Linear
  Models, section 6.2.3).
- Means are normal-normal: Z_i y_i + (1 - Z_i) c with Z_i = tau^2 / (tau^2 + v_i), the credibility of Buehlmann (1967,
  Experience rating and credibility, ASTIN Bulletin 4, 199-207).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cltv_assets.models.arrays import FloatArray


@dataclass(frozen=True, eq=False)
class Pooled:
    """Figures of n groups, drawn towards a common one.

    Parameters
    ----------
    value : array of float64, shape (n,)
        Posterior means.
    variance : array of float64, shape (n,)
        Posterior variances, the common figure taken as known.
    own_weight : array of float64, shape (n,)
        How much a group's own data count, from 0 to 1.
    """

    value: FloatArray
    variance: FloatArray
    own_weight: FloatArray


def between_variance(estimates: FloatArray, variances: FloatArray, centre: float) -> float:
    """Return tau^2, by which groups differ around a known ``centre`` beyond chance; 0 without groups.

    Parameters
    ----------
    estimates, variances : arrays of float64, shape (n,)
        Of each group; variances are positive.
    centre : float
        In the unit of the estimates.
    """
    if not len(estimates):
        return 0.0
    weights = 1.0 / variances
    spread = float((weights * (estimates - centre) ** 2).sum())
    return max((spread - len(estimates)) / float(weights.sum()), 0.0)


def pooled_ratios(actual: FloatArray, expected: FloatArray, dispersion: FloatArray) -> Pooled:
    """Return the ratios of actual to expected counts, drawn towards 1.

    Parameters
    ----------
    actual, expected : arrays of float64, shape (n,)
        Counts of each group. One of whom nothing is expected has the ratio 1.
    dispersion : array of float64, shape (n,)
        Variance over mean of each count, positive.
    """
    counts, means = actual / dispersion, expected / dispersion
    known = means > 0
    tau2 = between_variance(counts[known] / means[known], 1.0 / means[known], 1.0)
    if tau2 == 0.0:
        return Pooled(np.ones(len(actual)), np.zeros(len(actual)), np.zeros(len(actual)))
    prior = 1.0 / tau2
    weight = means / (means + prior)
    value = np.where(known, (counts + prior) / (means + prior), 1.0)
    return Pooled(value, value / (means + prior), weight)


def pooled_means(means: FloatArray, variances: FloatArray, centre: float) -> Pooled:
    """Return means drawn towards ``centre``.

    Parameters
    ----------
    means, variances : arrays of float64, shape (n,)
        Of each group, the variance being that of its mean; a group without one has an infinite variance.
    centre : float
        The mean of all.
    """
    known = np.isfinite(variances) & (variances > 0)
    tau2 = between_variance(means[known], variances[known], centre)
    weight = np.where(known, tau2 / (tau2 + np.where(known, variances, 1.0)), 0.0)
    own = np.where(known, means, centre)
    return Pooled(centre + weight * (own - centre), weight * np.where(known, variances, 0.0), weight)
