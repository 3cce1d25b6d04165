"""HTTP: one router per resource, and their schemas. No SQL and no tensors here."""
