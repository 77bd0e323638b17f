"""Terraform without its providers and without accounts: the real engine, schemas from a package, a stand-in that plans.

``stand_in`` and ``command`` run in an environment of their own (``requirements-terraform.lock``); the tests start them.
"""
