"""Migrations go up and down, and several services may start at once."""

import uuid
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

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


TRACKLETS = [("a", "Ann", 1), ("a", "Ann", 2), ("a", "Bea", 3), ("a", None, 4), ("b", "Ann", 5)]
"""Gallery, identity and number of tracklets that were stored before identities were rows."""


@pytest.fixture
def filled_url(database_url: str) -> str:
    """A database as it was before identities were rows, with tracklets in it."""
    migrate.upgrade(database_url, "0002")
    with psycopg.connect(conninfo(database_url)) as connection:
        galleries = {}
        for name in ("a", "b"):
            row = connection.execute("INSERT INTO galleries (name) VALUES (%s) RETURNING id", (name,)).fetchone()
            row += connection.execute(
                "INSERT INTO cameras (gallery_id, name) VALUES (%s, 'c') RETURNING id", row
            ).fetchone()
            galleries[name] = row
        for gallery, identity, number in TRACKLETS:
            gallery_id, camera_id = galleries[gallery]
            connection.execute(
                "INSERT INTO tracklets (id, gallery_id, camera_id, frames_digest, identity, labels, frame_count)"
                " VALUES (%s, %s, %s, '', %s, '{}', 1)",
                (uuid.UUID(int=number), gallery_id, camera_id, identity),
            )
    return database_url


def test_names_that_tracklets_have_become_identities_with_a_history(filled_url: str) -> None:
    migrate.upgrade(filled_url)
    with psycopg.connect(conninfo(filled_url)) as connection:
        found = connection.execute(
            "SELECT galleries.name, identities.name, kind, tracklet_ids FROM identities"
            " JOIN galleries ON galleries.id = gallery_id JOIN identity_events ON identity_id = identities.id"
            " ORDER BY 1, 2"
        ).fetchall()
        assert found == [
            ("a", "Ann", "created", [uuid.UUID(int=1), uuid.UUID(int=2)]),
            ("a", "Bea", "created", [uuid.UUID(int=3)]),
            ("b", "Ann", "created", [uuid.UUID(int=5)]),
        ]
        connection.execute("UPDATE identities SET name = 'Anna' WHERE name = 'Ann'")
        renamed = connection.execute("SELECT count(*) FROM tracklets WHERE identity = 'Anna'").fetchone()
        assert renamed == (3,)
        with pytest.raises(psycopg.errors.ForeignKeyViolation), connection.transaction():
            connection.execute("UPDATE tracklets SET identity = 'nobody has made this one'")


def test_the_way_back_from_identities_keeps_the_names_and_every_change_number(filled_url: str) -> None:
    migrate.upgrade(filled_url)
    with psycopg.connect(conninfo(filled_url)) as connection:
        connection.execute(
            "INSERT INTO changes (gallery_id, number, kind, tracklet_id)"
            " SELECT min(id), 1, 'updated', %s FROM galleries",
            (uuid.UUID(int=1),),
        )
    migrate.downgrade(filled_url, "0002")
    with psycopg.connect(conninfo(filled_url)) as connection:
        names = connection.execute("SELECT identity FROM tracklets ORDER BY id").fetchall()
        assert [name for (name,) in names] == [identity for _, identity, _ in TRACKLETS]
        assert connection.execute("SELECT number, kind FROM changes").fetchall() == [(1, "added")]
    migrate.upgrade(filled_url)
    migrate.check(filled_url)


def test_a_gallery_goes_with_its_identities(filled_url: str) -> None:
    migrate.upgrade(filled_url)
    with psycopg.connect(conninfo(filled_url)) as connection:
        connection.execute(
            "UPDATE identities SET merged_into = kept.id FROM identities AS kept"
            " WHERE kept.name = 'Bea' AND identities.name = 'Ann' AND identities.gallery_id = kept.gallery_id"
        )
        connection.execute("DELETE FROM galleries WHERE name = 'a'")
        assert connection.execute("SELECT count(*) FROM identity_events").fetchone() == (1,)


def test_numbers_of_generations_go_on_after_those_that_were_given(database_url: str) -> None:
    migrate.upgrade(database_url, "0010")
    with psycopg.connect(conninfo(database_url)) as connection:
        connection.execute("INSERT INTO models VALUES ('m', 2, '{}', '{}', '{}')")
        connection.execute("INSERT INTO galleries (name, generation) VALUES ('a', 1), ('b', 4)")
        connection.execute(
            "INSERT INTO generations (gallery_id, number, model_id)"
            " SELECT id, number, 'm' FROM galleries, (VALUES ('a', 1), ('a', 3), ('b', 4)) AS made (gallery, number)"
            " WHERE name = gallery"
        )
    migrate.upgrade(database_url)
    with psycopg.connect(conninfo(database_url)) as connection:
        assert connection.execute("SELECT name, generations FROM galleries ORDER BY 1").fetchall() == [
            ("a", 3),
            ("b", 4),
        ]


def test_a_purity_goes_to_the_descriptor_of_the_model_that_gave_it_where_that_is_certain(database_url: str) -> None:
    migrate.upgrade(database_url, "0011")
    galleries = {"stays": ["m"], "moved": ["m", "n"], "purged": ["n"]}
    with psycopg.connect(conninfo(database_url)) as connection:
        connection.execute("INSERT INTO models VALUES ('m', 2, '{}', '{}', '{}'), ('n', 2, '{}', '{}', '{}')")
        for number, (name, models) in enumerate(galleries.items()):
            last = 2 if name == "purged" else len(models)
            made = connection.execute(
                "INSERT INTO galleries (name, generation, generations) VALUES (%s, %s, %s) RETURNING id",
                (name, last, last),
            ).fetchone()
            camera = connection.execute(
                "INSERT INTO cameras (gallery_id, name) VALUES (%s, 'c') RETURNING id", made
            ).fetchone()
            for day, model in enumerate(models, start=1):
                connection.execute(
                    "INSERT INTO generations (gallery_id, number, model_id, created_at)"
                    " VALUES (%s, %s, %s, make_timestamptz(2026, 1, %s, 0, 0, 0))",
                    (*made, last - len(models) + day, model, 2 * day),
                )
            # Before the second generation, and after it.
            for day in (3, 5):
                tracklet = uuid.UUID(int=10 * number + day)
                connection.execute(
                    "INSERT INTO tracklets"
                    " (id, gallery_id, camera_id, frames_digest, labels, frame_count, purity, created_at)"
                    " VALUES (%s, %s, %s, '', '{}', 4, 0.5, make_timestamptz(2026, 1, %s, 0, 0, 0))",
                    (tracklet, *made, *camera, day),
                )
                for model in models:
                    connection.execute(
                        "INSERT INTO descriptors (tracklet_id, model_id, vector, given) VALUES (%s, %s, '', false)",
                        (tracklet, model),
                    )

    def purities(column: str, order: str) -> list[float | None]:
        with psycopg.connect(conninfo(database_url)) as connection:
            return [row[0] for row in connection.execute(f"SELECT purity FROM {column} ORDER BY {order}").fetchall()]

    migrate.upgrade(database_url)
    # `stays`, twice; `moved`, of m and of n, twice; `purged`, twice.
    assert purities("descriptors", "tracklet_id, model_id") == [0.5, 0.5, 0.5, None, None, None, None, None]
    migrate.downgrade(database_url, "0011")
    # Of the model that serves.
    assert purities("tracklets", "id") == [0.5, 0.5, None, None, None, None]
    migrate.upgrade(database_url)
    migrate.check(database_url)


def test_the_way_back_forgets_decisions_in_histories_and_nothing_else(database_url: str) -> None:
    migrate.upgrade(database_url)
    with psycopg.connect(conninfo(database_url)) as connection:
        connection.execute("INSERT INTO galleries (name) VALUES ('a')")
        add = (
            "INSERT INTO identity_events (gallery_id, identity_id, kind, done_by)"
            " SELECT id, %s, %s, 'somebody' FROM galleries"
        )
        for identity, kind in ((uuid.uuid4(), "created"), (uuid.uuid4(), "rejected"), (None, "withdrawn")):
            connection.execute(add, (identity, kind))
    migrate.downgrade(database_url, "0012")
    with psycopg.connect(conninfo(database_url)) as connection:
        assert connection.execute("SELECT kind FROM identity_events").fetchall() == [("created",)]
        with pytest.raises(psycopg.errors.NotNullViolation):
            connection.execute(add, (None, "created"))
