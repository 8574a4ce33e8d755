"""One command a claim: python -m bench NAME."""
