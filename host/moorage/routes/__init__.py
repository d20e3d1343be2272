"""The HTTP faces: one module per family of routes."""
