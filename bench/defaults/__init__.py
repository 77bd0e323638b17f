"""Which treatment of outliers and refunds predicts best."""
