"""Runs in, a law out: the reference fit, its diagnostics, and the posterior that forecasts are drawn from."""
