"""Which model predicts, and whether with a season: holdouts inside the history decide.

``histories`` has dated histories and the clock that measures them; ``candidates`` fits and scores the models;
``holdout_scores`` compares the scores; ``seasonality`` and ``seasonal_trial`` find a season and try it; ``choice``
decides and says why.
"""
