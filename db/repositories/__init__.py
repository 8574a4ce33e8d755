"""Reads and set-based writes by subject; every query for a caller is scoped by account."""
