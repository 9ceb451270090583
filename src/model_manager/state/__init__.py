"""The one SQLite file: one writer thread, read-only readers, migrations. No meaning of rows lives here."""
