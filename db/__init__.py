"""The database adapter: tables, repositories, ledger, outbox and migrations. All SQL is here."""
