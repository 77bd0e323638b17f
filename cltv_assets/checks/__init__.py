"""What every materialisation must prove before it is published.

Structure (``structure``), identities and volume (``transactions``, ``customers``),
fits (``models``), predictions and their record (``predictions``). ``catalogue``
says which table has which. No Dagster here.
"""

from cltv_assets.checks.catalogue import checks_of
from cltv_assets.checks.check import Check, Finding, Verdict, audit

__all__ = ["Check", "Finding", "Verdict", "audit", "checks_of"]
