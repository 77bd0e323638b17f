"""Benchmarks: each folder has a command and its recorded results."""
