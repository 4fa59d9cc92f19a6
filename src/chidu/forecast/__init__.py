"""A fit and a target in; the loss with its interval, the best split, the price, the next run and receipts out."""
