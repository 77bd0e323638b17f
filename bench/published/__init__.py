"""Our figures beside published ones, as a table in docs/models.md."""
