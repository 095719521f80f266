"""Pictures of predictors as PNG: what they would say, how well, and of what; drawn of data that they had not seen."""
