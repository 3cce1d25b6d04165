"""Long work: queued in PostgreSQL, resumable, visible."""
