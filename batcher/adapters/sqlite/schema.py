"""The shape of the journal's file, and how a file of an older shape becomes one of this shape.

Rule: a file tells which shape it has (`user_version`), and it is changed in one transaction or not
at all. What an older batcher wrote keeps its meaning; what it could not know is NULL, not guessed.
"""

from __future__ import annotations

from typing import Final

APPLICATION_ID: Final = 0x62746368  # "btch": `file journal.db` shows it
VERSION: Final = 2  # of the schema; a journal with a higher one is refused

SCHEMA: Final = """
-- Which process owns the run: the one that knows the highest epoch.
CREATE TABLE owner (
    one         INTEGER PRIMARY KEY CHECK (one = 1),
    epoch       INTEGER NOT NULL,
    claimed_at  REAL
) STRICT;
INSERT INTO owner VALUES (1, 0, NULL);

-- One line of the manifest.
CREATE TABLE row (
    n            INTEGER PRIMARY KEY,
    id           TEXT    NOT NULL,
    copy         INTEGER NOT NULL CHECK (copy >= 0),  -- k: k-th repetition of an id, to be rejected
    line         INTEGER NOT NULL,
    digest       BLOB    NOT NULL,
    admitted     INTEGER NOT NULL,                    -- epoch that met it first
    state        TEXT    NOT NULL CHECK (state IN ('pending', 'intent', 'accepted', 'ready',
                                                   'succeeded', 'failed', 'exhausted', 'in_doubt')),
    generation   INTEGER NOT NULL DEFAULT 0,          -- of its last attempt; 0 = none
    spent        INTEGER NOT NULL DEFAULT 0,          -- attempts that count against the limit
    job_id       TEXT,
    accepted_at  REAL,
    done_seen_at REAL,
    result       BLOB,                                -- JSON, while its files are still to be had
    error        TEXT,                                -- JSON, the last one; before any attempt:
                                                      -- why the line cannot be used
    base         TEXT,
    body         BLOB    NOT NULL,
    CHECK (job_id IS NOT NULL OR state NOT IN ('accepted', 'ready')),
    CHECK (job_id IS NULL OR state NOT IN ('pending', 'intent')),
    CHECK (result IS NOT NULL OR state <> 'ready')
) STRICT;
CREATE UNIQUE INDEX row_by_id ON row (id) WHERE copy = 0;
CREATE UNIQUE INDEX row_by_copy ON row (id, digest, copy) WHERE copy > 0;
CREATE UNIQUE INDEX row_by_job ON row (job_id) WHERE job_id IS NOT NULL;
CREATE INDEX row_open ON row (state, n) WHERE state NOT IN ('succeeded', 'failed');

-- Rows from earlier epochs that this epoch's manifest met again, and how often.
CREATE TABLE met (
    n            INTEGER PRIMARY KEY,
    times        INTEGER NOT NULL
) STRICT;

-- The money ledger: one line for each submit, written before its first byte, closed once.
CREATE TABLE attempt (
    n            INTEGER NOT NULL REFERENCES row (n),
    generation   INTEGER NOT NULL CHECK (generation >= 1),
    epoch        INTEGER NOT NULL,
    intent_at    REAL    NOT NULL,
    answered_at  REAL,
    verdict      TEXT    CHECK (verdict IN ('accept', 'withdraw', 'refuse', 'doubt', 'exhaust',
                                                     'resubmit')),
    job_id       TEXT,
    given_up     INTEGER,                             -- 1: the row gave this job up; 0: in doubt
                                                      -- until it was proved that it made none
    refund       TEXT    CHECK (refund IN ('done', 'already_done', 'unconfirmed')),
    http_status  INTEGER,
    request_id   TEXT,
    kind         TEXT,
    message      TEXT,
    resubmission INTEGER,                             -- 1: refused, and tried again by advice
    cost         INTEGER,                             -- nanos: quoted, then charged; NULL: unknown
    refund_raw   TEXT,                                -- the API's own word about the money
    job_error    TEXT,                                -- JSON, why the row gave this job up
    PRIMARY KEY (n, generation)
) STRICT, WITHOUT ROWID;
CREATE INDEX attempt_given_up ON attempt (job_id) WHERE given_up = 1;
CREATE TRIGGER attempt_is_kept BEFORE DELETE ON attempt
    BEGIN SELECT raise(ABORT, 'the ledger is append-only'); END;
CREATE TRIGGER attempt_closes_once BEFORE UPDATE OF verdict ON attempt WHEN OLD.verdict IS NOT NULL
    BEGIN SELECT raise(ABORT, 'an attempt is closed once'); END;

-- What a person decided, and on what evidence.
CREATE TABLE decision (
    id           INTEGER PRIMARY KEY,
    n            INTEGER NOT NULL REFERENCES row (n),
    epoch        INTEGER NOT NULL,
    at           REAL    NOT NULL,
    move         TEXT    NOT NULL,
    job_id       TEXT,
    note         TEXT    NOT NULL
) STRICT;

CREATE TABLE output (
    file         TEXT    PRIMARY KEY,
    bytes        INTEGER CHECK (bytes >= 0)           -- NULL: to be rebuilt
) STRICT, WITHOUT ROWID;
CREATE TABLE counter (
    name         TEXT    PRIMARY KEY,
    value        INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE fact (
    key          TEXT    PRIMARY KEY,
    value        TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
"""

# How a journal of a version becomes one of the next, statement by statement. An older batcher knew
# no prices: what it paid for stays without a cost.
UPGRADES: Final = {
    1: (
        "ALTER TABLE attempt ADD COLUMN cost INTEGER",
        "ALTER TABLE attempt ADD COLUMN refund_raw TEXT",
        "ALTER TABLE attempt ADD COLUMN job_error TEXT",
    ),
}

# What who only reads puts over an older journal instead, for their connection alone.
DISGUISES: Final = {
    1: (
        """
        CREATE TEMP VIEW attempt AS
        SELECT n, generation, epoch, intent_at, answered_at, verdict, job_id, given_up, refund,
               http_status, request_id, kind, message, resubmission,
               NULL AS cost, NULL AS refund_raw, NULL AS job_error
          FROM main.attempt""",
    ),
}
