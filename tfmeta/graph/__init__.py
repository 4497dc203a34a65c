"""Channel graph of a Keras model, structures on it, and what follows from the two alone: cost and rebuilt models."""
