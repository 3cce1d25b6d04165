"""Scores to answers: the probability of a pair, the decision of a search, and what both are worth."""
