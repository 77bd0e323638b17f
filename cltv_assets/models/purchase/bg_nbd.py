"""The BG/NBD model: a customer may stop after each repeat purchase.

Fader, Hardie and Lee (2005), "Counting Your Customers" the Easy Way, Marketing Science
24(2), 275-284. Without a repeat purchase there was no occasion to stop, so P(alive) is 1.
"""

from __future__ import annotations

from cltv_assets.models.purchase.beta_geometric import BetaGeometricNbd


class BgNbd(BetaGeometricNbd):
    """The BG/NBD model behind the common protocol of purchase models."""

    name = "bg_nbd"
    first_purchase = False
