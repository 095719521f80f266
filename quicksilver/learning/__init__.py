"""Predictors before they are live: data sets, models, honest scores; models as bytes that any runner applies."""
