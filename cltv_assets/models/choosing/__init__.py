"""Which model predicts, and whether with a season: holdouts inside the history decide."""
