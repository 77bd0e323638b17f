"""Likelihoods, fits and predictions: numpy and scipy, no Dagster and no Ibis.

What belongs here is arithmetic on arrays of sufficient statistics. What reads
or writes tables, names a partition or knows an engine belongs elsewhere.
"""
