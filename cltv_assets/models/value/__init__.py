"""What purchases are worth: order values, discounting, intervals of a customer's value and of totals."""
