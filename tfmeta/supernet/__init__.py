"""PruningNet: one network that holds the weights of every structure, and how structures are drawn and judged with it."""
