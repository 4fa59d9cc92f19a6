"""Budget -> plan -> runs: which small models to train, at what cost, and the training of them all."""
