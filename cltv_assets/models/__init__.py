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

import os

# SciPy's L-BFGS-B hands four-by-four matrices to OpenBLAS, whose threads wait for one another: on a busy machine
# an iteration took 2.4 ms instead of 0.06, and a month's fits 5 s instead of 1. Read when SciPy is first imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
