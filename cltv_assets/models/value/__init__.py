"""What purchases to come are worth: discounting, intervals of a customer's value and of totals.

``future_counts`` has what both kinds of intervals share: how many purchases a living customer makes.
"""
