"""From Meta's changes to neutral events: one module per shape, one table over all of them."""
