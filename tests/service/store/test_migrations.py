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


def purities(url: str, columns: str, table: str) -> set[tuple[object, ...]]:
    """Rows of these columns and `purity`, as far as there is one."""
    with psycopg.connect(conninfo(url)) as connection:
        statement = f"SELECT {columns}, purity FROM {table} WHERE purity IS NOT NULL"
        return {tuple(row) for row in connection.execute(statement).fetchall()}


def before_and_after(
    connection: psycopg.Connection[tuple[int, ...]], gallery: str, generations: dict[int, str], models: str
) -> None:
    """A gallery with these generations, and tracklets `before` and `after` the day on which a second was asked for.

    Args:
        generations: models by number, as they are by now.
        models: of each of which both have a descriptor.
    """
    made = connection.execute(
        "INSERT INTO galleries (name, generation) VALUES (%s, %s) RETURNING id", (gallery, max(generations))
    ).fetchone()
    assert made is not None
    for number, model in generations.items():
        connection.execute(
            "INSERT INTO generations (gallery_id, number, model_id, created_at)"
            " VALUES (%s, %s, %s, make_timestamptz(2026, 1, %s, 0, 0, 0))",
            (*made, number, model, 2 * number),
        )
    camera = connection.execute("INSERT INTO cameras (gallery_id, name) VALUES (%s, 'c') RETURNING id", made).fetchone()
    assert camera is not None
    for external_id, day in (("before", 3), ("after", 5)):
        tracklet = uuid.uuid4()
        connection.execute(
            "INSERT INTO tracklets"
            " (id, gallery_id, camera_id, external_id, frames_digest, labels, frame_count, purity, created_at)"
            " VALUES (%s, %s, %s, %s, '', '{}', 4, 0.5, make_timestamptz(2026, 1, %s, 0, 0, 0))",
            (tracklet, *made, *camera, external_id, day),
        )
        for model in models:
            connection.execute(
                "INSERT INTO descriptors (tracklet_id, model_id, vector) VALUES (%s, %s, '')", (tracklet, model)
            )


def asked_for(connection: psycopg.Connection[tuple[int, ...]], gallery: str, model: str | None) -> None:
    """A re-index of the gallery, to this model, was asked for on the fourth day."""
    connection.execute(
        "INSERT INTO jobs (id, kind, gallery_id, parameters, created_at)"
        " SELECT %s, 'reindex', id, jsonb_strip_nulls(jsonb_build_object('model_id', %s::text)), '2026-01-04T00:00Z'"
        " FROM galleries WHERE name = %s",
        (uuid.uuid4(), model, gallery),
    )


DESCRIPTORS = "descriptors JOIN tracklets ON id = tracklet_id JOIN galleries ON galleries.id = gallery_id"


def test_a_purity_goes_to_the_descriptor_of_the_model_that_gave_it_where_that_is_certain(database_url: str) -> None:
    migrate.upgrade(database_url, "0010")
    with psycopg.connect(conninfo(database_url)) as connection:
        connection.execute("INSERT INTO models VALUES ('m', 2, '{}', '{}', '{}'), ('n', 2, '{}', '{}', '{}')")
        before_and_after(connection, "stays", {1: "m"}, "m")
        before_and_after(connection, "renewed", {1: "m", 2: "m"}, "m")
        asked_for(connection, "renewed", None)
        before_and_after(connection, "moved", {1: "m", 2: "n"}, "mn")
        asked_for(connection, "moved", "n")
        before_and_after(connection, "first purged", {2: "n"}, "n")
        # Its second generation served and was purged: what is left looks as if there had only been the first.
        before_and_after(connection, "back", {1: "m"}, "m")
        asked_for(connection, "back", "n")
    migrate.upgrade(database_url)
    certain = {
        (gallery, external_id, "m", 0.5)
        for gallery, external_id in (
            ("stays", "before"),
            ("stays", "after"),
            ("renewed", "before"),
            ("renewed", "after"),
            ("moved", "before"),
            ("back", "before"),
        )
    }
    assert purities(database_url, "name, external_id, model_id", DESCRIPTORS) == certain
    migrate.check(database_url)


def test_the_way_back_and_up_again_gives_no_purity_to_another_model(database_url: str) -> None:
    migrate.upgrade(database_url, "0011")
    with psycopg.connect(conninfo(database_url)) as connection:
        connection.execute("INSERT INTO models VALUES ('m', 2, '{}', '{}', '{}'), ('n', 2, '{}', '{}', '{}')")
        before_and_after(connection, "moved", {1: "m", 2: "n"}, "mn")
        asked_for(connection, "moved", "n")
    migrate.upgrade(database_url)
    with psycopg.connect(conninfo(database_url)) as connection:
        connection.execute("UPDATE descriptors SET purity = CASE model_id WHEN 'm' THEN 0.25 ELSE 0.75 END")
    migrate.downgrade(database_url, "0011")
    # That of the upload, though another model serves; of the other tracklet it would be taken for the first model's.
    assert purities(database_url, "external_id", "tracklets") == {("before", 0.25)}
    migrate.upgrade(database_url)
    assert purities(database_url, "name, external_id, model_id", DESCRIPTORS) == {("moved", "before", "m", 0.25)}
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
