"""The one SQLite file: one writer thread, read-only readers, numbered migrations. No meaning of rows lives here."""
