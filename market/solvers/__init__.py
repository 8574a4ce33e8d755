"""The one place that loads solver libraries."""
