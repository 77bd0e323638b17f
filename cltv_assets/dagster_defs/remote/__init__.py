"""A month's first half on Databricks or EMR, launched and watched through Dagster Pipes.

``launching`` runs here and starts the job, ``reporting`` runs there and tells of it.
The lake is the shared state: there the month is published, here it is read.
"""
