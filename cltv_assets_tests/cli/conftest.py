"""The shop of the end-to-end tests, for the commands that read a lake."""

from cltv_assets_tests.e2e.conftest import ran

__all__ = ["ran"]
