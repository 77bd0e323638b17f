"""Customer lifetime value as Dagster assets.

From raw transactions to a validated lifetime-value prediction for every
customer, every month. ``cltv_assets.definitions`` is the code location;
``cltv_assets.build`` makes the same definitions from settings of your own.
"""

__version__ = "0.1.0"
