"""What the Makefile calls that is more than one line of shell."""
