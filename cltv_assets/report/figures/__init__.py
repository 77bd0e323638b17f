"""The report's pictures, by matplotlib: figures without pyplot and without global state."""
