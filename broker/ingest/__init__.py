"""Ingest: what devices say over MQTT, made true in the database, a batch to a transaction."""
