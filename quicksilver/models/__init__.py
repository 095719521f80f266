"""Prediction models: labels in, probabilities out."""
