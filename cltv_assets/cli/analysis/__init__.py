"""The lake for analysts: questions in SQL, and a DuckDB file of views.

Both show the same: every table of the lake under its name with all its published months, its
newest published month as ``current_<table>``, and ``lake_tables``, which lists them.
"""
