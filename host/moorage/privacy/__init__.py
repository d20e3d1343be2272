"""Forgetting: what is kept for how long, and all that is known of whoever asks to be forgotten."""
