"""The schema's history. Expand, backfill, contract: a release runs beside the one before it."""
