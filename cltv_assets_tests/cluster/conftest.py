"""Fixtures of this folder's tests alone."""

from cltv_assets_tests.cluster.failure_fixtures import case_on, undisturbed

__all__ = ["case_on", "undisturbed"]
