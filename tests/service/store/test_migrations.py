"""Migrations go up and down, and several services may start at once."""

from concurrent.futures import ThreadPoolExecutor

import psycopg

from service.store import migrate
from service.store.database import conninfo


def tables(url: str) -> set[str]:
    """Names of all tables, the queue's too."""
    with psycopg.connect(conninfo(url)) as connection:
        rows = connection.execute(
            "SELECT schemaname || '.' || tablename FROM pg_tables WHERE schemaname IN ('public', 'procrastinate')"
        ).fetchall()
    return {name for (name,) in rows}


def test_upgrade_downgrade_upgrade_ends_where_it_began(database_url: str) -> None:
    migrate.upgrade(database_url)
    first = tables(database_url)
    assert {"public.tracklets", "procrastinate.procrastinate_jobs"} <= first
    migrate.downgrade(database_url, "base")
    assert tables(database_url) == {"public.alembic_version"}
    migrate.upgrade(database_url)
    assert tables(database_url) == first


def test_the_tables_in_code_equal_the_migrated_ones(database_url: str) -> None:
    migrate.upgrade(database_url)
    migrate.check(database_url)


def test_services_that_start_at_once_migrate_one_after_another(database_url: str) -> None:
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: migrate.upgrade(database_url), range(4)))
    migrate.check(database_url)
