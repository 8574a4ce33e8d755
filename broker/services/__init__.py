"""Use cases: each takes an open session and its arguments, decides, and returns a value."""
