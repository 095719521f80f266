"""What each simulated venue says: one file per venue, from the market's steps to the venue's exact messages."""
