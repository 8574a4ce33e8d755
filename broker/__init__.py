"""Use cases (``services/``) and every entry point that is not HTTP."""
