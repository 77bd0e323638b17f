"""What a fit is: parameters with their evidence, or a plain reason why there are none.

Three things can happen, and a fourth is refused. ``fitted``: a proper maximum.
``boundary``: the likelihood has none, because the data cannot tell some parameter;
the others hold and predictions work. ``not_fitted``: too little data to try. An
optimiser that did not converge raises ``ModelError``: its numbers mean nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from cltv_assets.errors import ModelError

Status = Literal["fitted", "boundary", "not_fitted"]


@dataclass(frozen=True, kw_only=True)
class Fit:
    """What the fits of all models tell.

    Parameters
    ----------
    model_name : str
    status : {"fitted", "boundary", "not_fitted"}
    status_reason : str or None
        Plain words for a status other than ``fitted``.
    parameters : mapping of str to float or None
        By name; None for all of them if not fitted.
    standard_errors : mapping of str to float or None
        From the observed information, on the scale of the parameters. None where the
        data do not tell the parameter; the others are then given those.
    log_likelihood, aic : float or None
        In nats, in the units of the statistics.
    gradient_norm : float or None
        Largest component of the gradient a customer, by log parameters.
    hessian_positive_definite : bool or None
        Whether the maximum is a proper one.
    iterations : int or None
        Of the winning start.
    starts_agreeing : int or None
        Starts that reached the same log-likelihood to 1e-6 a customer.
    patterns : int
        Entries of the statistics.
    log_covariance : mapping of str to mapping of str to float, or None
        Covariance of the natural logarithms of the identified parameters, by their names,
        from the observed information; those that are not identified are left out, being
        held. It does not depend on the unit of time or money. None if not fitted.
    """

    model_name: str
    status: Status
    status_reason: str | None
    parameters: Mapping[str, float | None]
    standard_errors: Mapping[str, float | None]
    log_likelihood: float | None = None
    aic: float | None = None
    gradient_norm: float | None = None
    hessian_positive_definite: bool | None = None
    iterations: int | None = None
    starts_agreeing: int | None = None
    patterns: int
    log_covariance: Mapping[str, Mapping[str, float]] | None = None

    def usable_parameters(self) -> dict[str, float]:
        """Return the parameters to predict with.

        Raises
        ------
        ModelError
            If the model was not fitted.
        """
        usable = {name: value for name, value in self.parameters.items() if value is not None}
        if len(usable) < len(self.parameters):
            raise ModelError(
                f"The {self.model_name} model was not fitted: {self.status_reason}.",
                "Predict from a month whose data support a fit.",
            )
        return usable


@dataclass(frozen=True, kw_only=True)
class PurchaseFit(Fit):
    """A purchase model fitted to statistics. Fields are columns of ``purchase_model``.

    Parameters
    ----------
    customers, repeat_customers, repeat_purchases : int
        In the statistics.
    truncated : bool
        Whether the likelihood is that of customers known for a repeat purchase; see
        `cltv_assets.models.purchase.truncation`.
    """

    customers: int
    repeat_customers: int
    repeat_purchases: int
    truncated: bool = False


@dataclass(frozen=True, kw_only=True)
class SpendFit(Fit):
    """The Gamma-Gamma model fitted to statistics. Fields are columns of ``spend_model``.

    Parameters
    ----------
    customers : int
        Repeat customers fitted on.
    mean_order_value : float or None
        Mean spend a repeat purchase of those fitted on, in currency; None without any.
    expected_order_value : float or None
        The model's mean for a new customer, in currency.
    frequency_value_correlation : float or None
        Pearson correlation over customers of frequency and monetary value, which the
        model takes to be none; None where one of them does not vary.
    """

    customers: int
    mean_order_value: float | None = None
    expected_order_value: float | None = None
    frequency_value_correlation: float | None = None


@dataclass(frozen=True)
class Degeneracy:
    """Whether a model with dropout has found any, beside its null model.

    Parameters
    ----------
    log_likelihood_gain : float
        Nats by which the model exceeds the NBD on the same statistics.
    aic_gain : float
        By how much its AIC is lower; below 0 the null model is the better one.
    mean_p_alive : float
        Mean of P(alive) over repeat customers. Customers without a repeat purchase
        are alive by the BG/NBD's definition and tell nothing.
    """

    log_likelihood_gain: float
    aic_gain: float
    mean_p_alive: float
