-- Definitions as records, in revisions, for any number of projects.
-- Instants are microseconds since 1970-01-01T00:00:00Z. Version 0 stands for kinds without versions.

-- "ASOF": tells this file from a database of another program.
PRAGMA application_id = 1095978822;

CREATE TABLE revisions (
    project    TEXT    NOT NULL,
    number     INTEGER NOT NULL CHECK (number >= 1),
    applied_at INTEGER NOT NULL,
    applied_by TEXT    NOT NULL,
    PRIMARY KEY (project, number)
) STRICT;

-- What each revision did, in the order in which it was asked for.
CREATE TABLE changes (
    project  TEXT    NOT NULL,
    revision INTEGER NOT NULL,
    position INTEGER NOT NULL,
    verb     TEXT    NOT NULL CHECK (verb IN ('created', 'updated', 'removed')),
    kind     TEXT    NOT NULL,
    name     TEXT    NOT NULL,
    version  INTEGER NOT NULL,
    PRIMARY KEY (project, revision, position),
    FOREIGN KEY (project, revision) REFERENCES revisions (project, number)
) STRICT;

-- The objects of the newest revision.
CREATE TABLE objects (
    project          TEXT    NOT NULL,
    kind             TEXT    NOT NULL,
    name             TEXT    NOT NULL,
    version          INTEGER NOT NULL CHECK (version >= 0),
    format           INTEGER NOT NULL CHECK (format >= 1),
    spec             TEXT    NOT NULL,
    semantic_hash    TEXT    NOT NULL,
    identity         TEXT    NOT NULL,
    created_revision INTEGER NOT NULL,
    updated_revision INTEGER NOT NULL,
    created_at       INTEGER NOT NULL,
    updated_at       INTEGER NOT NULL,
    PRIMARY KEY (project, kind, name, version),
    FOREIGN KEY (project, created_revision) REFERENCES revisions (project, number),
    FOREIGN KEY (project, updated_revision) REFERENCES revisions (project, number)
) STRICT;
