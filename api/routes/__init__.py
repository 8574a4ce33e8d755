"""The routes, one module a subject: each parses, calls a use case, renders."""
