"""Whether data suffice to try a fit at all, and in plain words why not."""

from __future__ import annotations

from cltv_assets.models.estimation.statistics import PurchaseStatistics, SpendStatistics
from cltv_assets.models.value import gamma_gamma

#: With fewer repeat customers a fit is not tried. Samples of CDNOW show how little so few
#: timings tell: of 40 samples with about 10 repeat customers 2 had a proper BG/NBD maximum,
#: of 40 with about 20 repeat customers 10 had, of 40 with about 100 repeat customers 37.
MIN_REPEAT_CUSTOMERS = 10


def too_few_purchases(statistics: PurchaseStatistics, parameters: int) -> str | None:
    """Return why a purchase model of so many parameters cannot be tried, or None if it can."""
    if statistics.customers == 0:
        return "no customers"
    if statistics.repeat_customers == 0:
        return "no customer has bought on a second day"
    if statistics.repeat_customers < MIN_REPEAT_CUSTOMERS:
        return f"{statistics.repeat_customers} repeat customers; a fit needs {MIN_REPEAT_CUSTOMERS}"
    if statistics.mean_age <= 0:
        return "every customer's first purchase is on the last day"
    # With no more patterns than parameters, the likelihood is an interpolation.
    if not statistics.has_patterns(parameters + 1):
        return f"{statistics.distinct_patterns} distinct purchase histories; a fit needs {parameters + 1}"
    return None


def too_few_values(statistics: SpendStatistics) -> str | None:
    """Return why the spend model cannot be tried, or None if it can."""
    if statistics.customers == 0:
        return "no repeat customer with a positive order value"
    if statistics.customers < MIN_REPEAT_CUSTOMERS:
        return f"{statistics.customers} repeat customers; a fit needs {MIN_REPEAT_CUSTOMERS}"
    values = statistics.monetary_value
    # The density at one common value grows without bound as the spread goes to 0.
    if values.max() - values.min() <= 1e-9 * values.max():
        return "every customer has the same mean order value"
    least = len(gamma_gamma.PARAMETER_NAMES) + 1
    if statistics.distinct_patterns < least:
        return f"{statistics.distinct_patterns} distinct pairs of frequency and order value; a fit needs {least}"
    return None
