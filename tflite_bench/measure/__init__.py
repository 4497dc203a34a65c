"""The order in which models are timed: in turns, again until OK, over time, on many devices at once."""
