"""What landing from a database costs."""
