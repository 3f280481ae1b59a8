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
    # What people gave hangs on the photograph's id and no longer on its row, which a prune removes.
    """
    CREATE TABLE kept_rating (
        id INTEGER PRIMARY KEY,
        photograph_id INTEGER NOT NULL,
        text TEXT NOT NULL,
        scale TEXT NOT NULL,
        value INTEGER NOT NULL,
        rater TEXT NOT NULL,
        time INTEGER NOT NULL,
        UNIQUE (photograph_id, text, scale, rater),
        CHECK ((scale = 'expert' AND value BETWEEN 1 AND 4) OR (scale = 'crowd' AND value BETWEEN 0 AND 1))
    );
    INSERT INTO kept_rating SELECT id, photograph_id, text, scale, value, rater, time FROM rating;
    DROP TABLE rating;
    ALTER TABLE kept_rating RENAME TO rating;
    CREATE INDEX rating_text ON rating (text);
    CREATE TABLE kept_kind (photograph_id INTEGER PRIMARY KEY, name TEXT NOT NULL);
    INSERT INTO kept_kind SELECT photograph_id, name FROM kind;
    DROP TABLE kind;
    ALTER TABLE kept_kind RENAME TO kind;
    CREATE INDEX kind_name ON kind (name);
    CREATE TABLE tombstone (
        photograph_id INTEGER PRIMARY KEY,
        content_hash BLOB NOT NULL,
        image_hash BLOB,
        path TEXT NOT NULL,
        removed_at INTEGER NOT NULL
    );
    CREATE INDEX tombstone_content ON tombstone (content_hash);
    CREATE INDEX tombstone_image ON tombstone (image_hash) WHERE image_hash IS NOT NULL;
    ALTER TABLE root ADD COLUMN options TEXT NOT NULL DEFAULT '{}';
    ALTER TABLE photograph ADD COLUMN changed_ns INTEGER;
    ALTER TABLE photograph ADD COLUMN image_hash BLOB;
    ALTER TABLE photograph ADD COLUMN warning TEXT;
    ALTER TABLE photograph ADD COLUMN read_with INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE photograph ADD COLUMN generation INTEGER NOT NULL DEFAULT 0;
    CREATE INDEX photograph_image ON photograph (image_hash) WHERE image_hash IS NOT NULL;
    CREATE INDEX photograph_generation ON photograph (generation);
    CREATE TABLE companion (
        photograph_id INTEGER NOT NULL REFERENCES photograph (id) ON DELETE CASCADE,
        name TEXT NOT NULL,
        role TEXT NOT NULL,
        size INTEGER NOT NULL,
        modified_ns INTEGER NOT NULL,
        PRIMARY KEY (photograph_id, name)
    ) WITHOUT ROWID;
    CREATE TABLE preview (
        photograph_id INTEGER PRIMARY KEY REFERENCES photograph (id) ON DELETE CASCADE,
        jpeg BLOB NOT NULL
    );
    CREATE TABLE term (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
    CREATE TABLE metadata (
        photograph_id INTEGER PRIMARY KEY REFERENCES photograph (id) ON DELETE CASCADE,
        taken_at INTEGER,
        taken_offset INTEGER,
        taken_source TEXT,
        camera_id INTEGER REFERENCES term (id),
        lens_id INTEGER REFERENCES term (id),
        focal_length REAL,
        focal_length_35 REAL,
        aperture REAL,
        exposure REAL,
        iso INTEGER,
        flash INTEGER,
        latitude REAL,
        longitude REAL,
        altitude REAL,
        town_id INTEGER,
        country_id INTEGER REFERENCES term (id),
        region_id INTEGER REFERENCES term (id),
        written_town_id INTEGER REFERENCES term (id),
        title TEXT,
        description TEXT,
        creator_id INTEGER REFERENCES term (id),
        copyright_id INTEGER REFERENCES term (id),
        stars INTEGER,
        label_id INTEGER REFERENCES term (id),
        orientation INTEGER,
        motion REAL
    );
    CREATE TABLE keyword (
        photograph_id INTEGER NOT NULL REFERENCES photograph (id) ON DELETE CASCADE,
        is_person INTEGER NOT NULL,
        position INTEGER NOT NULL,
        term_id INTEGER NOT NULL REFERENCES term (id),
        PRIMARY KEY (photograph_id, is_person, position)
    ) WITHOUT ROWID;
    CREATE TABLE skipped (
        root_id INTEGER NOT NULL REFERENCES root (id) ON DELETE CASCADE,
        path TEXT NOT NULL,
        reason TEXT NOT NULL,
        detail TEXT,
        PRIMARY KEY (root_id, path)
    ) WITHOUT ROWID;
    """,
)
"""Each runs in one transaction together with the update of `user_version`, the number of migrations that ran."""
