"""The integration host: a Litestar application and its command line."""
