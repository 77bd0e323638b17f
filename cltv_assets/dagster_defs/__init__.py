"""The Dagster definitions: assets, resources, automation, and access to the instance."""
