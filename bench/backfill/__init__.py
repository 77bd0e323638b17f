"""A backfill from the Dagster UI, timed."""
