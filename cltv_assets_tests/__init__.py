"""Tests of cltv_assets; the folders mirror the package."""
