"""Terraform without providers and accounts: the real engine, schemas from packages, a stand-in that plans.

``stand_in`` and ``command`` run in an environment of their own (``requirements-terraform.lock``); the tests start them.
"""
