"""Likelihoods, fits and predictions: NumPy and SciPy, no Dagster and no Ibis.

What belongs here is arithmetic on arrays of sufficient statistics. What reads or writes tables,
names a partition or knows an engine belongs elsewhere. Imports run in this order:

- ``sufficient_statistics``, ``distinct``: what the likelihoods see of the customers;
- ``purchase``, ``gamma_gamma``: the models of purchases and of order values;
- ``estimation``: from statistics to fitted parameters;
- ``pattern_predictions``, ``value``: what fitted models expect, with intervals;
- ``choosing``: which model predicts, and whether with a season;
- ``measures``, ``lifetimes_adapter``: how well predictions did, and the door to ``lifetimes``.
"""
