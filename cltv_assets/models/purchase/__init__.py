"""How often customers buy and when they stop: likelihoods and predictions of each model, behind one protocol."""
