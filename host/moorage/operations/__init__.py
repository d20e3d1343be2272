"""What each neutral operation does, over vendor ports and storage: one module per theme."""
