"""The admin UI: server-rendered pages that work without script."""
