"""A stand-in for Meta: Graph, consent dialog, signed webhooks and lead forms in one ASGI app."""
