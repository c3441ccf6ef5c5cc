"""The database: tables, queries, migrations, and the vault for credentials."""
