"""Streaming moments and Monte Carlo efficient portfolios."""
