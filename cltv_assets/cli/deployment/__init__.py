"""What a shared installation needs besides Dagster's own processes: first start, restarts, copies of the lake.

``deploy/compose.yaml`` calls these modules; nothing else in the package uses them.
"""
