"""The schema of the catalog, as numbered migrations from an empty file to the newest version."""

from __future__ import annotations

MIGRATIONS = (
    """
    CREATE TABLE setting (key TEXT PRIMARY KEY, value TEXT NOT NULL);
    INSERT INTO setting VALUES ('generation', '0');
    CREATE TABLE root (id INTEGER PRIMARY KEY AUTOINCREMENT, path TEXT NOT NULL UNIQUE);
    CREATE TABLE photograph (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        root_id INTEGER NOT NULL REFERENCES root (id),
        folder TEXT NOT NULL,
        name TEXT NOT NULL,
        size INTEGER NOT NULL,
        modified_ns INTEGER NOT NULL,
        content_hash BLOB NOT NULL,
        width INTEGER NOT NULL,
        height INTEGER NOT NULL,
        format TEXT NOT NULL,
        UNIQUE (root_id, folder, name)
    );
    CREATE INDEX photograph_content ON photograph (content_hash);
    CREATE TABLE thumbnail (
        photograph_id INTEGER PRIMARY KEY REFERENCES photograph (id) ON DELETE CASCADE,
        jpeg BLOB NOT NULL
    );
    CREATE TABLE vector (
        photograph_id INTEGER NOT NULL REFERENCES photograph (id) ON DELETE CASCADE,
        fingerprint TEXT NOT NULL,
        generation INTEGER NOT NULL,
        data BLOB NOT NULL,
        PRIMARY KEY (photograph_id, fingerprint)
    );
    CREATE INDEX vector_generation ON vector (fingerprint, generation);
    CREATE TABLE removal (photograph_id INTEGER PRIMARY KEY, generation INTEGER NOT NULL);
    CREATE INDEX removal_generation ON removal (generation);
    CREATE TABLE history (generation INTEGER PRIMARY KEY, stamp TEXT NOT NULL);
    """,
    """
    CREATE TABLE rating (
        id INTEGER PRIMARY KEY,
        photograph_id INTEGER NOT NULL REFERENCES photograph (id) ON DELETE CASCADE,
        text TEXT NOT NULL,
        scale TEXT NOT NULL,
        value INTEGER NOT NULL,
        rater TEXT NOT NULL,
        time INTEGER NOT NULL,
        UNIQUE (photograph_id, text, scale, rater),
        CHECK ((scale = 'expert' AND value BETWEEN 1 AND 4) OR (scale = 'crowd' AND value BETWEEN 0 AND 1))
    );
    CREATE INDEX rating_text ON rating (text);
    """,
    """
    CREATE TABLE kind (
        photograph_id INTEGER PRIMARY KEY REFERENCES photograph (id) ON DELETE CASCADE,
        name TEXT NOT NULL
    );
    CREATE INDEX kind_name ON kind (name);
    """,
)
"""Each runs in one transaction together with the update of `user_version`, the number of migrations that ran."""
