"""A month's first half on Databricks or EMR, launched and watched through Dagster Pipes.

``launching`` starts the job and waits for it. In the job ``cltv_assets.cli.launched`` runs the
month and reports what it published. Both use the same lake.
"""
