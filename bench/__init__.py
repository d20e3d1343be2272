"""Side-by-side measurements: every figure that we claim, and the command that makes it."""
