"""The MBG/NBD model: a customer may stop after each purchase, the first one included.

Batislam, Denizel and Filiztekin (2007), Empirical Validation and Comparison of Models for
Customer Base Analysis, International Journal of Research in Marketing 24(3), 201-209. A
customer without a repeat purchase is then not taken to be alive: P(alive) on the day of
the first purchase is b / (a + b).
"""

from __future__ import annotations

from cltv_assets.models.purchase.beta_geometric import BetaGeometricNbd


class MbgNbd(BetaGeometricNbd):
    """The MBG/NBD model behind the common protocol of purchase models."""

    name = "mbg_nbd"
    first_purchase = True
