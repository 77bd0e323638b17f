"""What a fit is: parameters with their evidence, or a plain reason why there are none.

A fit has one of three states. ``fitted``: a proper maximum. ``boundary``: the likelihood has
none, because the data do not tell some parameter; the others hold and predictions work.
``not_fitted``: too little data to try. An optimiser that did not converge raises
``ModelError``, since its numbers mean nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from cltv_assets.errors import ModelError

Status = Literal["fitted", "boundary", "not_fitted"]


@dataclass(frozen=True, kw_only=True)
class Fit:
    """What the fits of all models have.

    Parameters
    ----------
    model_name : str
        A name of `PURCHASE_MODELS`, or ``gamma_gamma``.
    status : {"fitted", "boundary", "not_fitted"}
    status_reason : str or None
        Plain words for a status other than ``fitted``.
    parameters : mapping of str to float or None
        By name; None for all of them if not fitted.
    standard_errors : mapping of str to float or None
        From the observed information, on the scale of the parameters. None where the
        data do not tell the parameter; the errors of the others then take it as known.
    log_likelihood, aic : float or None
        In nats, in the units of the statistics.
    gradient_norm : float or None
        Largest component of the gradient per customer, by log parameters.
    hessian_positive_definite : bool or None
        Whether the maximum is a proper one.
    iterations : int or None
        Of the winning start.
    starts_agreeing : int or None
        Starts that reached the same log-likelihood to 1e-6 per customer.
    patterns : int
        Entries of the statistics.
    log_covariance : mapping of str to mapping of str to float, or None
        Covariance of the natural logarithms of the identified parameters, by their names,
        from the observed information. It does not depend on the unit of time or money.
        None if not fitted.
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
    """A purchase model fitted to statistics. Its fields are columns of the table ``purchase_model``.

    Parameters
    ----------
    customers, repeat_customers, repeat_purchases : int
        In the statistics.
    truncated : bool
        Whether the likelihood is that of customers known for having bought often enough; see
        `truncated_likelihood`.
    least_frequency : int or None
        The repeat purchases that they had to have, 1 or more; None where not truncated.
    left_out : int or None
        Those of ``customers`` who have fewer all the same: a few, whom the fit leaves out. None where not truncated.
    """

    customers: int
    repeat_customers: int
    repeat_purchases: int
    truncated: bool = False
    least_frequency: int | None = None
    left_out: int | None = None

    @property
    def bound(self) -> int:
        """The repeat purchases that a customer had to have to be among the data; 0 where these are all customers."""
        # Rows of earlier versions know one bound only.
        return self.least_frequency if self.least_frequency is not None else int(self.truncated)


@dataclass(frozen=True, kw_only=True)
class SpendFit(Fit):
    """The Gamma-Gamma model fitted to statistics. Its fields are columns of the table ``spend_model``.

    Parameters
    ----------
    customers : int
        Repeat customers fitted on.
    prices : int or None
        How many mean order values they have.
    mean_order_value : float or None
        Mean spend of their repeat purchases, in currency; None without any.
    expected_order_value : float or None
        The model's mean for a new customer, in currency.
    frequency_value_correlation : float or None
        Pearson correlation over customers of frequency and monetary value, which the
        model takes to be zero; None where one of them does not vary.
    """

    customers: int
    prices: int | None = None
    mean_order_value: float | None = None
    expected_order_value: float | None = None
    frequency_value_correlation: float | None = None
