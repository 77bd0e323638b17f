"""Likelihoods, fits and predictions: numpy and scipy, no Dagster and no Ibis.

What belongs here is arithmetic on arrays of sufficient statistics. What reads
or writes tables, names a partition or knows an engine belongs elsewhere.
"""

import os

# scipy's L-BFGS-B hands four-by-four matrices to OpenBLAS, whose threads wait for one another: on a busy machine
# an iteration took 2.4 ms instead of 0.06, and a month's fits 5 s instead of 1. Read when scipy is first imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
