"""How well forecasts hold: the rules that weigh the purchase models, and whole forecasters beside other packages."""
