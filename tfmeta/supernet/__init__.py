"""PruningNet: one network that holds the weights of every structure; how structures are drawn and judged with it."""
