"""Pictures of small plain data, by matplotlib without pyplot and without global state, and numbers in words.

What the UI shows of a table and the report draw with the same figures. matplotlib is
imported when a figure is drawn, not before: definitions import this package.
"""
