"""The production instance of deploy/, started here without containers."""
