"""What each asset does, without Dagster.

A step takes a ``MonthRun`` and the upstream tables and returns the table it makes.
Steps may ask the engine for something small (counts, thresholds) and may call
``models``; pure table-to-table logic belongs in ``transforms``.
"""
