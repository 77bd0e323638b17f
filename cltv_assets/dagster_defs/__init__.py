"""Everything that imports Dagster: assets, resources, automation, and the doors into its instance."""
