"""The Graph API itself: the one door to it, its errors, its lists and its usage headers."""
