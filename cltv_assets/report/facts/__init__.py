"""What a report says, as small numbers: one module a topic, each with its collector.

Everything is aggregated in the engine; no collector brings a row a customer here.
Importing this imports neither NumPy-heavy models nor matplotlib.
"""
