"""Rankings as files: tables, and sheets of pictures."""
