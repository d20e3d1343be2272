"""What several suites need: a running demo, a browser, a proxy, wheels."""
