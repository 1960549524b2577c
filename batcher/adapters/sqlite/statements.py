"""Every SQL statement of the journal; the shape of its file is in `schema.py`.

Rule: SQL stands in these two and nowhere else. A statement that changes a row names the state that
the row must be in, and whoever runs it counts the rows that it changed. Lists of ids and numbers go
in as one JSON array (`json_each`), so that a statement is compiled once whatever the size of a
batch; rows of values as VALUES of a few sizes (`for_rows`, `values.py`).
"""

from __future__ import annotations

from functools import cache
from typing import Final

# --- Ownership -------------------------------------------------------------------------------

EPOCH: Final = "SELECT epoch FROM owner"
CLAIM: Final = "UPDATE owner SET epoch = epoch + 1, claimed_at = ? RETURNING epoch"
FORGET_MET: Final = "DELETE FROM met"

# --- Admission -------------------------------------------------------------------------------

_KNOWN = """
    SELECT r.id, r.n, r.digest, r.state, r.line, r.generation, r.base,
           ifnull(m.times, r.admitted = ?1)
"""
KNOWN: Final = f"""{_KNOWN}
      FROM json_each(?2) AS j CROSS JOIN row AS r ON r.id = j.value AND r.copy = 0
      LEFT JOIN met AS m ON m.n = r.n"""
KNOWN_ONE: Final = f"""{_KNOWN}
      FROM row AS r LEFT JOIN met AS m ON m.n = r.n WHERE r.id = ?2 AND r.copy = 0"""
KNOWN_BETWEEN: Final = f"""{_KNOWN}
      FROM row AS r LEFT JOIN met AS m ON m.n = r.n WHERE r.n BETWEEN ?2 AND ?3 AND r.copy = 0"""
KNOWN_COPY: Final = f"""{_KNOWN}
      FROM row AS r LEFT JOIN met AS m ON m.n = r.n
     WHERE r.id = ?2 AND r.digest = ?3 AND r.copy = ?4 AND r.copy > 0"""
NUMBER_OF: Final = "SELECT n FROM row WHERE id = ? AND copy = 0"
# Digests are no text, so what they are joined to is none either; `char(10)` is `settled.BETWEEN`.
ENDED_BETWEEN: Final = """
    SELECT count(*), CAST(group_concat(id, char(10)) AS BLOB),
           CAST(group_concat(digest, '') AS BLOB)
      FROM row
     WHERE n BETWEEN ?2 AND ?3 AND copy = 0 AND state IN ('succeeded', 'failed')
       AND admitted <> ?1 AND NOT EXISTS (SELECT 1 FROM met WHERE met.n BETWEEN ?2 AND ?3)"""
LAST_NUMBER: Final = "SELECT ifnull(max(n), 0) FROM row"
ADD_ROW: Final = """
    INSERT INTO row (n, id, copy, line, digest, admitted, state, error, base, body)
    VALUES (?, ?, ?, ?, ?, ?, 'pending', ?, ?, ?)"""
MEET: Final = """
    INSERT INTO met (n, times) VALUES (?, ?)
    ON CONFLICT (n) DO UPDATE SET times = excluded.times"""
REPLACE_CONTENT: Final = """
    UPDATE row SET line = ?2, digest = ?3, base = ?4, body = ?5
     WHERE n = ?1 AND state = 'pending'"""

# --- Moves: the last two parameters of a row's update are its number and the state it leaves ---

STAND: Final = """
    SELECT r.n, r.state, r.generation, r.job_id, r.result IS NOT NULL,
           iif(r.state = 'exhausted', r.error, NULL),
           iif(a.given_up = 0, 'withdraw', a.verdict), a.job_id IS NOT NULL, a.cost, a.refund
      FROM json_each(?) AS j CROSS JOIN row AS r ON r.n = j.value
      LEFT JOIN attempt AS a ON a.n = r.n AND a.generation = r.generation"""
JOB_OWNERS: Final = """
    SELECT r.job_id, r.n FROM json_each(?1) AS j CROSS JOIN row AS r ON r.job_id = j.value
    UNION ALL
    SELECT a.job_id, a.n FROM json_each(?1) AS j
     CROSS JOIN attempt AS a ON a.job_id = j.value AND a.given_up = 1"""

INTEND: Final = "UPDATE row SET state = 'intent', generation = ? WHERE n = ? AND state = ?"
ACCEPT: Final = """
    UPDATE row SET state = 'accepted', job_id = ?, accepted_at = ?, error = NULL
     WHERE n = ? AND state = ?"""
WITHDRAW: Final = """
    UPDATE row SET state = 'pending', spent = spent + ?, error = ifnull(?, error)
     WHERE n = ? AND state = ?"""
COLLECT: Final = """
    UPDATE row SET state = 'ready', result = ?, done_seen_at = ? WHERE n = ? AND state = ?"""
FINISH: Final = """
    UPDATE row SET state = ?, error = ?, result = NULL WHERE n = ? AND state = ?"""
EXHAUST: Final = """
    UPDATE row SET state = 'exhausted', error = ?, result = ifnull(?, result)
     WHERE n = ? AND state = ?"""
FREE: Final = """
    UPDATE row SET state = 'pending', spent = spent * ? + ?, error = ?, job_id = NULL,
                   accepted_at = NULL, done_seen_at = NULL, result = NULL
     WHERE n = ? AND state = ?"""
REPOLL: Final = """
    UPDATE row SET state = 'accepted', accepted_at = ?, done_seen_at = NULL, result = NULL,
                   error = NULL
     WHERE n = ? AND state = ?"""
REFETCH: Final = "UPDATE row SET state = 'ready', error = NULL WHERE n = ? AND state = ?"
GIVE_UP: Final = "UPDATE row SET state = 'failed' WHERE n = ? AND state = ?"

OPEN_ATTEMPT: Final = """
    INSERT INTO attempt (n, generation, epoch, intent_at, cost) VALUES (?, ?, ?, ?, ?)"""
CLOSE_ATTEMPT: Final = """
    UPDATE attempt SET answered_at = ?, verdict = ?, job_id = ?, http_status = ?, request_id = ?,
                       kind = ?, message = ?, resubmission = ?
     WHERE n = ? AND generation = ? AND verdict IS NULL"""
GIVE_UP_JOB: Final = """
    UPDATE attempt SET given_up = 1, job_error = ?
     WHERE n = ? AND generation = ? AND job_id IS NOT NULL"""
ADOPT_JOB: Final = """
    UPDATE attempt SET job_id = ? WHERE n = ? AND generation = ? AND job_id IS NULL"""
DISPROVE: Final = """
    UPDATE attempt SET given_up = 0
     WHERE n = ? AND generation = ? AND verdict = 'doubt' AND job_id IS NULL"""
SET_REFUND: Final = """
    UPDATE attempt SET refund = ?, refund_raw = ? WHERE n = ? AND generation = ?"""
SET_COST: Final = "UPDATE attempt SET cost = ? WHERE n = ? AND generation = ?"
ADD_DECISION: Final = """
    INSERT INTO decision (n, epoch, at, move, job_id, note) VALUES (?, ?, ?, ?, ?, ?)"""

# --- Moves of many rows at once, which were not read before: `usual.py` ------------------------
# What goes wrong with a row leaves it as it is (OR IGNORE): it is missed when they are counted.

INTEND_ALL: Final = """
    UPDATE OR IGNORE row SET state = 'intent', generation = ?1
     WHERE n IN (SELECT value FROM json_each(?2)) AND state = 'pending' AND generation = ?1 - 1"""
SUCCEED_ALL: Final = """
    UPDATE OR IGNORE row SET state = 'succeeded', error = NULL, result = NULL
     WHERE n IN (SELECT value FROM json_each(?2)) AND state = ?1"""
_ANSWERS: Final = """
    (SELECT column1 AS job_id, column2 AS at, column3 AS n, column4 AS request_id
       FROM (VALUES (?, ?, ?, ?))) AS said"""
ACCEPT_ALL: Final = f"""
    UPDATE OR IGNORE row
       SET state = 'accepted', job_id = said.job_id, accepted_at = said.at, error = NULL
      FROM {_ANSWERS}
     WHERE row.n = said.n AND row.state = 'intent'
       AND NOT EXISTS (SELECT 1 FROM attempt AS a
                        WHERE a.job_id = said.job_id AND a.given_up = 1)"""  # noqa: S608 - own words
CLOSE_ACCEPTED: Final = f"""
    UPDATE OR IGNORE attempt
       SET answered_at = said.at, verdict = 'accept', job_id = said.job_id,
           request_id = said.request_id
      FROM {_ANSWERS} CROSS JOIN row AS r ON r.n = said.n
     WHERE attempt.n = r.n AND attempt.generation = r.generation AND attempt.verdict IS NULL
"""  # noqa: S608 - this file's own words only

COUNT: Final = """
    INSERT INTO counter (name, value) VALUES (?, ?)
    ON CONFLICT (name) DO UPDATE SET value = value + excluded.value"""
SET_OUTPUT: Final = """
    INSERT INTO output (file, bytes) VALUES (?, ?)
    ON CONFLICT (file) DO UPDATE SET bytes = excluded.bytes"""
NOTE: Final = """
    INSERT INTO fact (key, value) VALUES (?, ?)
    ON CONFLICT (key) DO UPDATE SET value = excluded.value"""

# --- Reading ---------------------------------------------------------------------------------
# `state NOT IN (…)` says nothing new: it lets SQLite see that the partial index may serve.

_OPEN = "state NOT IN ('succeeded', 'failed')"
_TICKET = """
    SELECT r.n, r.id, r.line, r.body, r.base, r.generation, r.spent, r.job_id, a.intent_at,
           r.accepted_at, r.done_seen_at, r.result, r.error, a.cost, r.state
"""
_LAST_ATTEMPT = "LEFT JOIN attempt AS a ON a.n = r.n AND a.generation = r.generation"

TICKET: Final = f"{_TICKET} FROM row AS r {_LAST_ATTEMPT} WHERE r.n = ?"
FOUND: Final = f"{_TICKET} FROM row AS r {_LAST_ATTEMPT} WHERE r.id = ? AND r.copy = 0"
HELD: Final = f"""{_TICKET}
      FROM row AS r {_LAST_ATTEMPT}
     WHERE r.state = ? AND r.n > ? AND r.{_OPEN} ORDER BY r.n LIMIT ?"""
FOLLOWED: Final = f"""{_TICKET}
      FROM (SELECT n FROM row WHERE state = 'accepted' AND n > ?1 AND {_OPEN}
            UNION ALL
            SELECT n FROM row WHERE state = 'ready' AND n > ?1 AND {_OPEN}
            ORDER BY n LIMIT ?2) AS next
      CROSS JOIN row AS r ON r.n = next.n {_LAST_ATTEMPT}
     ORDER BY next.n"""  # noqa: S608 - built of this file's own words only
UNANSWERED: Final = f"""{_TICKET}
      FROM row AS r JOIN attempt AS a ON a.n = r.n AND a.generation = r.generation
     WHERE r.state = 'intent' AND r.n > ?1 AND r.{_OPEN} AND a.epoch < ?3
     ORDER BY r.n LIMIT ?2"""
_UNMET = f"""{_TICKET}
      FROM row AS r {_LAST_ATTEMPT}
     WHERE r.state = 'pending' AND r.n > ?1 AND r.{_OPEN} AND r.admitted <> ?3
       AND NOT EXISTS (SELECT 1 FROM met WHERE met.n = r.n)"""  # noqa: S608 - this file's words only
_IS_USABLE = "(r.copy = 0 AND (r.error IS NULL OR r.generation > 0))"
UNSEEN: Final = f"{_UNMET} AND {_IS_USABLE} ORDER BY r.n LIMIT ?2"
UNUSABLE: Final = f"{_UNMET} AND NOT {_IS_USABLE} ORDER BY r.n LIMIT ?2"
ATTEMPTS: Final = """
    SELECT generation, intent_at, answered_at, verdict, http_status, request_id, message
      FROM attempt WHERE n = ? ORDER BY generation"""
# An attempt cost money without a result to show for it if its job was given up or is the job of a
# row that did not succeed, and may have if nobody knows whether it made a job.
_IS_CHARGE = """(
    a.job_id IS NULL AND a.verdict IN ('doubt', 'resubmit') AND a.given_up IS NOT 0
    OR a.given_up = 1
    OR a.job_id IS NOT NULL AND a.generation = r.generation AND r.state IN ('failed', 'exhausted'))
"""
_CHARGE = """
    SELECT r.n, r.id, r.line, a.generation, r.state, a.job_id, a.request_id, a.intent_at, a.cost,
           a.refund, a.refund_raw,
           ifnull(a.given_up, 0) OR a.generation < r.generation OR r.state = 'pending',
           a.job_error, r.error, a.kind, a.message, a.http_status
"""
CHARGES: Final = f"""{_CHARGE}
      FROM (SELECT DISTINCT a.n FROM attempt AS a CROSS JOIN row AS r ON r.n = a.n
             WHERE a.n > ? AND {_IS_CHARGE} ORDER BY a.n LIMIT ?) AS next
      CROSS JOIN attempt AS a ON a.n = next.n
      CROSS JOIN row AS r ON r.n = a.n
     WHERE {_IS_CHARGE} ORDER BY next.n, a.generation"""  # noqa: S608 - this file's words only
CHARGES_OF: Final = f"""{_CHARGE}
      FROM attempt AS a CROSS JOIN row AS r ON r.n = a.n
     WHERE a.n = ? AND {_IS_CHARGE} ORDER BY a.generation"""
COUNTERS: Final = "SELECT name, value FROM counter"
OUTPUTS: Final = "SELECT file, bytes FROM output"
SUBMITS_SINCE: Final = "SELECT intent_at FROM attempt WHERE intent_at >= ? ORDER BY intent_at"
FACT: Final = "SELECT value FROM fact WHERE key = ?"

# --- The file --------------------------------------------------------------------------------

BEGIN_READING: Final = "BEGIN"
BEGIN_WRITING: Final = "BEGIN IMMEDIATE"
COMMIT: Final = "COMMIT"
ROLLBACK: Final = "ROLLBACK"
TABLES: Final = "SELECT count(*) FROM sqlite_schema"
INTEGRITY_CHECK: Final = "PRAGMA integrity_check(1)"
QUICK_CHECK: Final = "PRAGMA quick_check(1)"
QUICK_CHECK_SMALL: Final = tuple(
    f"PRAGMA quick_check({table})" for table in ("owner", "output", "counter", "fact", "decision")
)


def pragma(name: str) -> str:
    """Return the statement that reads a setting of the connection or of the file."""
    return f"PRAGMA {name}"


def set_pragma(name: str, value: str | int) -> str:
    """Return the statement that changes a setting; both words are the program's own."""
    return f"PRAGMA {name} = {value}"


@cache
def for_rows(statement: str, rows: int) -> str:
    """Return a statement that has VALUES of one row as one of so many rows."""
    before, word, rest = statement.partition("VALUES ")
    row, end, after = rest.partition(")")
    return before + word + ", ".join([row + end] * rows) + after
