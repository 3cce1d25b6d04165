"""PostgreSQL and the frames on disk: tables, repositories, the embedded server."""
