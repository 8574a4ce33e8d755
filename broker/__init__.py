"""The use cases of the platform and every entry point that is not HTTP."""
