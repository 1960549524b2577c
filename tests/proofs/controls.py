"""Wrong versions of batcher: each breaks one promise, and the tests that it names must see it.

Rule: a test that never failed proves nothing. A control replaces one text of one file, and it must
turn every test that it names red; if the text is no longer there, the control is mended, not
dropped. The mistakes are ones that a tool of this kind can really have. `docs/guarantees.md` has
the promises.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Control:
    """One wrong version. `right` stands exactly once in `file`, and `wrong` takes its place."""

    name: str
    promise: str  # as docs/guarantees.md words it
    file: str
    right: str
    wrong: str
    red: tuple[str, ...]  # `tests/…py::name`; of a test with parameters one must fail
    always: bool = False  # tried in every test run, not only by `make soak`


CRASH = "tests/engine/test_crash.py::"
RUN = "tests/engine/test_run.py::"
RECORD = "tests/engine/test_record.py::"
MONEY = "tests/engine/test_money.py::"
CLAIMS = "tests/engine/test_claims.py::"
JOURNAL = "tests/adapters/test_sqlite.py::"
SETTLED = "tests/adapters/test_sqlite_settled.py::"
FILE = "tests/adapters/test_sqlite_file.py::"
OUTCOMES = "tests/adapters/test_outcomes.py::"
RUNDIR = "tests/adapters/test_rundir.py::"
CONDUCTOR = "tests/cli/test_conductor.py::"
HTTP = "tests/adapters/test_http.py::"
WIRE = "tests/adapters/test_wire.py::"
CONNECTIONS = "tests/adapters/test_connections.py::"
ANSWERS = "tests/providers/test_any_answer.py::"
CASES = "tests/providers/test_conformance.py::"
CALLS = "tests/providers/test_deapi_calls.py::"
FOUND = "tests/proofs/test_found.py::"
GATE = "tests/core/test_gate.py::"
LOOKS = "tests/engine/test_looks.py::"
AGAIN = "tests/engine/test_again.py::"
LISTED = "tests/engine/test_list.py::"
LISTED_SEEDS = LISTED + "test_crashes_anywhere_leave_no_doubt"
ROOM = "tests/engine/test_room.py::"
ERRORS = "tests/proofs/test_disk_errors.py::"
DIRECTORIES = "tests/proofs/test_directories.py::"
DAMAGE = "tests/proofs/test_disk_damage.py::"
MALFORMED = "tests/proofs/test_malformed.py::"
NETWORK = "tests/proofs/test_network.py::"
DNS = "tests/proofs/test_dns.py::"
DEADLINE = "tests/engine/test_deadline.py::"
FORECAST = "tests/core/test_forecast.py::"
PACE = "tests/engine/test_pace.py::"
PLACES = "tests/engine/test_places.py::"
LANE = "tests/engine/test_lane.py::"
SHARDS = "tests/engine/test_shards.py::"
SEEDS = CRASH + "test_crashes_anywhere_cost_nothing"

CONTROLS = (
    # --- Money: what may be sent ---------------------------------------------------------------
    Control(
        name="intent-not-awaited",
        promise="No row is paid twice",
        file="batcher/engine/submit.py",
        right="""\
            await context.recorder.commit(
                Intend(ticket.row.n, ticket.submitted_at, ticket.generation, ticket.cost)
            )
""",
        wrong="""\
            context.recorder.commit(
                Intend(ticket.row.n, ticket.submitted_at, ticket.generation, ticket.cost)
            )
""",
        red=(
            SEEDS,
            "tests/engine/test_called.py::test_an_attempt_is_expected_only_once_its_intent_is_durable",
        ),
        always=True,
    ),
    Control(
        name="acknowledged-before-it-is-written",
        promise="No row is paid twice",
        file="batcher/engine/books/record.py",
        right="""\
        try:
            group.answers = await self._write(group.events)
""",
        wrong="""\
        group.answers = [True] * len(group.events)
        group.tell()
        try:
            group.answers = await self._write(group.events)
""",
        red=(
            SEEDS,
            RECORD + "test_a_failed_disk_ends_the_run_and_answers_everybody",
        ),
    ),
    Control(
        name="open-intent-taken-for-never-sent",
        promise="Held rows are not sent again",
        file="batcher/engine/feed.py",
        right="            await self._doubt_all(lost, error)\n",
        wrong="""\
            from batcher.core.events import Withdraw

            for ticket in lost:
                await context.recorder.commit(Withdraw(ticket.row.n, 0.0, spent=False))
""",
        red=(
            SEEDS,
            CRASH + "test_an_intent_without_an_answer_is_in_doubt_and_never_sent_again",
        ),
    ),
    Control(
        name="no-answer-taken-for-a-refusal",
        promise="Held rows are not sent again",
        file="batcher/engine/sending.py",
        right="        return Doubt(unknown(failure.reason))\n",
        wrong="        return Later(RowError(ErrorKind.CONNECTION, failure.reason))\n",
        red=(SEEDS, RUN + "test_dropped_answers_and_only_those_are_in_doubt"),
        always=True,
    ),
    Control(
        name="reset-taken-for-not-sent",
        promise="No row is paid twice",
        file="batcher/adapters/http/failure.py",
        right="    return Lost(next(text for kind, text in _LOST if isinstance(error, kind))",
        wrong="    return NotSent(next(text for kind, text in _LOST if isinstance(error, kind))",
        red=(
            HTTP + "test_no_whole_answer_is_lost",
            MALFORMED + "test_no_answer_is_misread",
            NETWORK + "test_a_network_that_breaks_costs_nothing",
        ),
    ),
    Control(
        name="gateway-error-taken-for-no-job",
        promise="No row is paid twice",
        file="batcher/providers/answers.py",
        right="    503: ErrorKind.UNAVAILABLE,\n}",
        wrong="""\
    500: ErrorKind.UNAVAILABLE,
    502: ErrorKind.UNAVAILABLE,
    503: ErrorKind.UNAVAILABLE,
    504: ErrorKind.UNAVAILABLE,
}""",
        red=(ANSWERS + "test_only_proof_frees_a_row", CASES + "test_every_status_code"),
    ),
    Control(
        name="answer-without-an-id-taken-for-a-refusal",
        promise="No paid job is forgotten",
        file="batcher/providers/answers.py",
        right='        return doubt(response, said, f"HTTP {status} without a readable job id")\n',
        wrong="        return _refusal(response, said)\n",
        red=(ANSWERS + "test_2xx_is_never_a_refusal", CASES + "test_unreadable_id_is_a_doubt"),
    ),
    Control(
        name="request-repeated-by-the-library",
        promise="No row is paid twice",
        file="batcher/adapters/http/transport.py",
        right="            except Exception as error:\n                failure",
        wrong="""\
            except Exception as error:
                if type(error).__name__ == "ServerDisconnectedError":
                    return await self._send(pool, request, start, body, timeout_s)

                failure""",
        red=(HTTP + "test_nothing_is_sent_twice",),
    ),
    # --- Money: whose job it is ----------------------------------------------------------------
    Control(
        name="job-of-another-row-accepted",
        promise="No paid job is forgotten",
        file="batcher/engine/submit.py",
        right="        if not mine:\n",
        wrong="        if mine is None:\n",
        red=(RUN + "test_a_job_id_that_is_another_rows_is_doubt",),
    ),
    Control(
        name="job-given-to-two-rows",
        promise="No paid job is forgotten",
        file="batcher/adapters/sqlite/moves.py",
        right="        return job_id is None or self._owners.setdefault(job_id, n) == n\n",
        wrong="        return True\n",
        red=(
            JOURNAL + "TestMoves::test_a_job_belongs_to_one_row",
            CLAIMS + "test_a_job_has_one_row_whatever_calls_say",
            "tests/engine/test_decide.py::test_a_job_belongs_to_one_row",
        ),
    ),
    Control(
        name="rows-moved-unread-and-uncounted",
        promise="No row is paid twice",
        file="batcher/adapters/sqlite/usual.py",
        right="    if found != number:\n",
        wrong="    if found > number:\n",
        red=(
            JOURNAL + "TestMoves::test_an_illegal_move_changes_nothing",
            JOURNAL + "TestMoves::test_a_job_belongs_to_one_row",
            JOURNAL + "test_a_call_that_is_not_what_it_seems_adds_its_lines_once",
        ),
    ),
    Control(
        name="claim-of-an-earlier-attempt-adopted",
        promise="A call must prove itself",
        file="batcher/engine/doubt/adoption.py",
        right="    if told.generation < held.ticket.generation:\n",
        wrong="    if told.generation > held.ticket.generation:\n",
        red=(CLAIMS + "test_a_job_of_an_earlier_attempt_is_told_and_not_adopted",),
    ),
    Control(
        name="absence-believed-before-it-settled",
        promise="A doubt resolves itself without a second payment",
        file="batcher/engine/doubt/listing.py",
        right="            max(0.0, self._listing.settle_s - over_s),\n",
        wrong="            0.0,\n",
        red=(LISTED + "test_an_intent_of_a_dead_process_settles", LISTED_SEEDS),
        always=True,
    ),
    Control(
        name="settled-since-the-process-began",
        promise="A doubt resolves itself without a second payment",
        file="batcher/engine/doubt/listing.py",
        right="        over_s = self._ages.least_s(at) - LATE_S - ",
        wrong="        over_s = now - self._began + 0.0 * ",
        red=(LISTED + "test_a_doubt_at_the_end_of_a_long_run_settles_by_itself",),
    ),
    Control(
        name="own-submit-taken-for-an-earlier-process",
        promise="A doubt resolves itself without a second payment",
        file="batcher/engine/doubt/listing.py",
        right="        if n in self._over_at:",
        wrong="        if n in self._over_at and at >= self._ages.began_at:",
        red=(LISTED + "test_a_clock_that_is_set_back_makes_no_submit_an_old_one",),
    ),
    Control(
        name="answer-to-a-second-try-not-rescued",
        promise="A doubt resolves itself without a second payment",
        file="batcher/engine/submit.py",
        right="        except Exception:  # nothing can be written any more: the job is rescued\n",
        wrong="        except ZeroDivisionError:\n",
        red=(AGAIN + "test_a_job_of_a_held_row_that_the_journal_cannot_take_is_rescued",),
    ),
    Control(
        name="late-submit-of-an-old-intent",
        promise="A doubt resolves itself without a second payment",
        file="batcher/engine/submit.py",
        right="        if self._back.is_recalled(ticket) or self._is_late(ticket):\n",
        wrong="        if self._back.is_recalled(ticket):\n",
        red=(LISTED + "test_an_intent_that_waited_for_the_disk_does_not_leave",),
    ),
    Control(
        name="list-with-a-failed-page-taken-as-whole",
        promise="A doubt resolves itself without a second payment",
        file="batcher/engine/doubt/walk.py",
        right="                found.error = page.error\n",
        wrong="",
        red=(
            LISTED + "test_a_list_of_which_one_page_is_missing_proves_nothing",
            LISTED + "test_a_list_that_cannot_be_read_proves_nothing",
        ),
    ),
    Control(
        name="what-left-without-a-mark-looked-for",
        promise="A doubt resolves itself without a second payment",
        file="batcher/engine/doubt/marks.py",
        right="    return at is not None and since is not None and at >= since\n",
        wrong="    return at is not None and since is not None\n",
        red=(
            LISTED + "test_what_left_without_a_mark_is_not_looked_for",
            AGAIN + "test_what_left_without_a_key_is_not_sent_again_with_one",
        ),
    ),
    Control(
        name="key-that-changes-between-tries",
        promise="A doubt resolves itself without a second payment",
        file="batcher/engine/doubt/resend.py",
        right="self._means.request(ticket, ticket.generation)\n",
        wrong="self._means.request(ticket, ticket.generation + 1 + attempt.tries)\n",
        red=(
            AGAIN + "test_a_key_is_the_same_for_every_try_of_an_attempt_and_for_no_other",
            AGAIN + "test_crashes_anywhere_leave_no_doubt",
        ),
        always=True,
    ),
    Control(
        name="key-that-changes-with-the-process",
        promise="A doubt resolves itself without a second payment",
        file="batcher/engine/doubt/marks.py",
        right="            known.secret or (",
        wrong="            f'{at}' or (",
        red=(
            AGAIN + "test_a_crashed_process_leaves_its_submits_to_the_next_one",
            AGAIN + "test_crashes_anywhere_leave_no_doubt",
        ),
    ),
    Control(
        name="key-used-after-its-time",
        promise="A doubt resolves itself without a second payment",
        file="batcher/engine/doubt/resend.py",
        right="        return arrives_s <= marks.idempotency.honoured_s\n",
        wrong="        return arrives_s >= 0\n",
        red=(
            AGAIN + "test_a_key_is_used_only_while_it_is_honoured",
            AGAIN + "test_an_age_that_the_clock_denies_is_not_trusted",
        ),
    ),
    Control(
        name="refusal-of-a-second-try-believed",
        promise="A doubt resolves itself without a second payment",
        file="batcher/engine/doubt/resend.py",
        right="        if isinstance(verdict, Halt) or attempt.tries >= TRIES_MAX:\n",
        wrong="""\
        if isinstance(verdict, Halt) or attempt.tries >= TRIES_MAX:
            from batcher.core.events import Withdraw

            attempt.is_held = True
            await self._context.recorder.commit(Withdraw(ticket.row.n, 0.0, spent=True))
""",
        red=(AGAIN + "test_only_a_job_id_ends_a_doubt",),
    ),
    Control(
        name="signature-not-checked",
        promise="A call must prove itself",
        file="batcher/providers/deapi/calls.py",
        right="    if not hmac.compare_digest(_as_bytes(signature), ",
        wrong="    if not hmac.compare_digest(signed(secret, timestamp, body), ",
        red=(
            CALLS + "test_any_changed_byte_is_refused",
            "tests/engine/test_hearing.py::test_a_call_as_deapi_makes_it_is_heard",
        ),
    ),
    Control(
        name="old-calls-believed",
        promise="A call must prove itself",
        file="batcher/providers/deapi/calls.py",
        right="AGE_S_MAX: Final = 300.0",
        wrong="AGE_S_MAX: Final = 3e9",
        red=(CALLS + "test_age_counts_both_ways",),
    ),
    # --- Money: how much -----------------------------------------------------------------------
    Control(
        name="cap-looked-at-after-the-submit",
        promise="The cap on costs holds",
        file="batcher/engine/money/budget.py",
        right="self.spent + cost <= limit",
        wrong="self.spent <= limit",
        red=(
            MONEY + "test_the_cap_is_a_hard_stop_with_its_numbers",
            CRASH + "test_no_crash_brings_a_run_above_its_cap",
        ),
    ),
    Control(
        name="open-submits-not-reserved-for",
        promise="The cap on costs holds",
        file="batcher/engine/money/budget.py",
        right="        self.spent += cost or 0\n        self.open += 1\n        return True\n",
        wrong="        self.open += 1\n        return True\n",
        red=(MONEY + "test_open_submits_are_reserved_for",),
    ),
    Control(
        name="duplicates-counted-anew",
        promise="Held rows are not sent again",
        file="batcher/engine/doubt/doubts.py",
        right="        context.recorder.count(DUPLICATES)\n",
        wrong="",
        red=(FOUND + "test_risked_duplicates_are_counted_over_restarts",),
    ),
    Control(
        name="unconfirmed-refund-taken-for-done",
        promise="Only confirmed money is back",
        file="batcher/providers/deapi/answers.py",
        right="        else Refund.UNCONFIRMED,\n",
        wrong="        else Refund.DONE,\n",
        red=(
            MONEY + "test_an_unconfirmed_refund_is_spent",
            CASES + "test_recorded_answer",
        ),
    ),
    Control(
        name="unknown-refund-word-taken-for-done",
        promise="Only confirmed money is back",
        file="batcher/providers/removit/dialect.py",
        right=' if "already" in word.lower() else Refund.UNCONFIRMED\n',
        wrong="\n",
        red=(CASES + "test_recorded_answer",),
    ),
    # --- The journal ---------------------------------------------------------------------------
    Control(
        name="synchronous-normal",
        promise="A power cut loses nothing",
        file="batcher/adapters/sqlite/connection.py",
        right='        "synchronous": 2 if durable else 0,\n',
        wrong='        "synchronous": 1 if durable else 0,\n',
        red=(
            "tests/proofs/test_power.py::test_nothing_acknowledged_is_lost",
            FILE + "test_every_commit_is_synced",
        ),
        always=True,
    ),
    Control(
        name="name-of-the-journal-not-synced",
        promise="A power cut loses nothing",
        file="batcher/adapters/sqlite/connection.py",
        right="            os.fsync(folder)\n",
        wrong="            pass\n",
        red=(FOUND + "test_a_new_journal_is_there_after_a_power_cut",),
    ),
    Control(
        name="names-of-outcome-files-not-synced",
        promise="A power cut loses nothing",
        file="batcher/adapters/outcomes.py",
        right="            sync_directory(directory)\n",
        wrong="            pass\n",
        red=(FOUND + "test_outcome_files_are_there_after_a_power_cut",),
    ),
    Control(
        name="cut-not-synced",
        promise="A power cut loses nothing",
        file="batcher/adapters/outcomes.py",
        right="                os.ftruncate(fd, length)\n                self._sync(fd)\n",
        wrong="                os.ftruncate(fd, length)\n",
        red=(FOUND + "test_outcome_files_are_there_after_a_power_cut",),
    ),
    Control(
        name="replacement-not-synced",
        promise="A power cut loses nothing",
        file="batcher/adapters/atomic.py",
        right="            os.fsync(file.fileno())\n",
        wrong="",
        red=(FOUND + "test_a_file_is_replaced_durably",),
    ),
    Control(
        name="new-name-not-synced",
        promise="A power cut loses nothing",
        file="batcher/adapters/atomic.py",
        right="    sync_directory(path.parent)\n",
        wrong="",
        red=(FOUND + "test_a_file_is_replaced_durably",),
    ),
    Control(
        name="no-epoch-check",
        promise="One owner",
        file="batcher/adapters/sqlite/journal.py",
        right="        if present != self._epoch:\n",
        wrong="        if present < self._epoch:\n",
        red=(JOURNAL + "TestMoves::test_an_owner_that_was_replaced_is_fenced",),
    ),
    Control(
        name="locks-shared",
        promise="One owner",
        file="batcher/adapters/rundir.py",
        right="import fcntl\n",
        wrong="import fcntl\n\nfcntl.LOCK_EX = fcntl.LOCK_SH\n",
        red=(
            RUNDIR + "test_two_owners_in_one_process_exclude_each_other",
            RUNDIR + "test_a_second_process_is_turned_away_until_the_first_is_killed",
        ),
    ),
    Control(
        name="writing-goes-on-after-an-error",
        promise="A failing disk stops all submits",
        file="batcher/adapters/sqlite/journal.py",
        right="                self._poison = failure\n",
        wrong="                pass\n",
        red=(FILE + "test_a_failing_disk_stops_all_writing",),
    ),
    Control(
        name="failed-sync-tried-again",
        promise="A failing disk stops all submits",
        file="batcher/adapters/outcomes.py",
        right='        self._failure = StorageError(f"{path}: {error.strerror};',
        wrong='        return StorageError(f"{path}: {error.strerror};',
        red=(OUTCOMES + "test_after_a_failed_sync_nothing_more_is_written",),
    ),
    Control(
        name="full-disk-ends-the-run",
        promise="A full disk is waited for",
        file="batcher/engine/books/record.py",
        right="                self._outcomes.take_back()\n",
        wrong="                pass\n",
        red=(RECORD + "test_a_full_disk_is_waited_for",),
    ),
    Control(
        name="missing-journal-started-anew",
        promise="A failing disk stops all submits",
        file="batcher/adapters/sqlite/connection.py",
        right="        elif must_exist:\n",
        wrong="        elif must_exist and path.is_dir():\n",
        red=(FILE + "test_a_journal_that_was_there_is_not_started_anew",),
    ),
    Control(
        name="older-journal-accepted",
        promise="No row is paid twice",
        file="batcher/engine/books/opening.py",
        right="        if job_id and (held is None or held.ticket.job_id != job_id):\n",
        wrong="        if job_id and held is None and not outcomes:\n",
        red=(CRASH + "test_an_older_journal_is_refused",),
    ),
    Control(
        name="lost-log-accepted",
        promise="A failing disk stops all submits",
        file="batcher/engine/books/opening.py",
        right="    if directory.is_marked_open and not log.exists():\n",
        wrong="    if directory.is_marked_open and log.is_dir():\n",
        red=("tests/e2e/test_kill.py::test_a_deleted_log_of_the_journal_is_refused",),
    ),
    Control(
        name="newer-journal-opened",
        promise="Older journals go on, newer ones are refused",
        file="batcher/adapters/sqlite/connection.py",
        right="    if version != schema.VERSION and version not in schema.UPGRADES:\n",
        wrong="    if version < schema.VERSION and version not in schema.UPGRADES:\n",
        red=(FILE + "test_a_newer_journal_is_refused_unharmed",),
    ),
    # --- Outcome files -------------------------------------------------------------------------
    Control(
        name="outcome-appended-after-the-commit",
        promise="One outcome for every row",
        file="batcher/engine/books/record.py",
        right="""\
            return self._journal.apply(events, append if lines else None, counters)
""",
        wrong="""\
            answers = self._journal.apply(events, {}, counters)
            if lines:
                self._journal.apply([], self._outcomes.append(lines), {})

            return answers
""",
        red=(
            SEEDS,
            RECORD + "test_outcome_lines_are_synced_before_the_journal_knows_them",
        ),
    ),
    Control(
        name="length-not-recovered",
        promise="Outcome files are whole lines",
        file="batcher/adapters/outcomes.py",
        right="            if found > length:\n",
        wrong="            if found > length > found:\n",
        red=(
            SEEDS,
            OUTCOMES + "test_recovery_leaves_exactly_what_was_committed",
        ),
    ),
    Control(
        name="outcome-not-synced",
        promise="Outcome files are whole lines",
        file="batcher/adapters/outcomes.py",
        right="        for name in texts:\n            self._make_durable(name)\n",
        wrong="",
        red=(OUTCOMES + "test_after_a_failed_sync_nothing_more_is_written",),
    ),
    # --- Resuming ------------------------------------------------------------------------------
    Control(
        name="resume-by-line-number",
        promise="A changed manifest is noticed",
        file="batcher/adapters/sqlite/admission.py",
        right="        known = self._rows.get(entry.id)\n        if known is None:\n",
        wrong="""\
        known = next((row for row in self._rows.values() if row.line == entry.line), None)
        if known is None:
""",
        red=(
            RUN + "test_appended_rows_join_and_order_is_free",
            JOURNAL + "TestAdmission::test_no_order_of_lines_makes_a_row_twice",
        ),
    ),
    Control(
        name="content-ignored-on-resume",
        promise="A changed manifest is noticed",
        file="batcher/adapters/sqlite/admission.py",
        right="        if known.digest != entry.digest:\n",
        wrong="        if not known.digest:\n",
        red=(
            RUN + "test_a_row_changed_before_its_submit_is_refused",
            JOURNAL + "TestAdmission::test_a_row_that_changed_before_its_submit_is_told",
        ),
    ),
    Control(
        name="content-ignored-where-all-is-over",
        promise="A changed manifest is noticed",
        file="batcher/adapters/sqlite/settled.py",
        right='        and digests == b"".join([entry.digest for entry in entries])\n',
        wrong="        and digests is not None\n",
        red=(SETTLED + "test_many_lines_are_as_one_by_one",),
    ),
    Control(
        name="rows-met-at-once-forgotten",
        promise="A changed manifest is noticed",
        file="batcher/adapters/sqlite/admission.py",
        right="        stretches.add(*stretch)",
        wrong="        assert stretch",
        red=(
            SETTLED + "test_a_manifest_in_two_copies_is_met_twice",
            SETTLED + "test_identical_rows_are_counted_over_batches",
        ),
    ),
    Control(
        name="ended-rows-fed-again",
        promise="A resume repeats nothing",
        file="batcher/adapters/sqlite/admission.py",
        right='    "succeeded": Standing.ENDED,\n',
        wrong='    "succeeded": Standing.FRESH,\n',
        red=(CRASH + "test_a_finished_run_makes_no_request",),
    ),
    Control(
        name="jobs-of-a-dead-process-not-followed",
        promise="A crash anywhere is like none",
        file="batcher/engine/feed.py",
        right="                    self.take_up(ticket)\n",
        wrong="                    context.slots.release()\n",
        red=(SEEDS, CRASH + "test_a_job_accepted_before_a_crash_is_polled_and_not_submitted"),
    ),
    Control(
        name="another-account-accepted",
        promise="Another meaning is refused",
        file="batcher/engine/session.py",
        right="    if known and mark not in known and has_jobs and not settings.new_key:\n",
        wrong="    if known is mark and has_jobs and not settings.new_key:\n",
        red=("tests/e2e/test_whole.py::test_a_first_try_with_a_wrong_key_can_be_mended",),
    ),
    # --- Attempts and pauses -------------------------------------------------------------------
    Control(
        name="429-spends-an-attempt",
        promise="A limit that is met holds everybody, and a 429 costs no attempt",
        file="batcher/engine/withdraw.py",
        right='            context.recorder.count("throttled")\n',
        wrong='            context.recorder.count("throttled")\n            ticket.spent += 1\n',
        red=(RUN + "test_a_throttle_spends_no_attempt_and_makes_no_storm",),
    ),
    Control(
        name="429-spends-an-attempt-on-disk",
        promise="A limit that is met holds everybody, and a 429 costs no attempt",
        file="batcher/engine/withdraw.py",
        right="                spent=not verdict.throttled,\n",
        wrong="                spent=True,\n",
        red=(FOUND + "test_a_throttle_spends_no_attempt_in_the_next_process_either",),
    ),
    Control(
        name="retry-after-ignored",
        promise="A limit that is met holds everybody, and a 429 costs no attempt",
        file="batcher/core/pacing/gate.py",
        right="        wait = growing if wait_s is None else min(max(wait_s, 0.0), WAIT_MAX_S)\n",
        wrong="        wait = 1.0\n",
        red=(GATE + "test_a_throttle_holds_everybody_at_least_as_long_as_asked",),
    ),
    Control(
        name="outage-met-at-full-speed",
        promise="Retries are bounded",
        file="batcher/core/pacing/gate.py",
        right="        elif self._failures >= FAILURES_MAX and not self._is_closed:\n",
        wrong="        elif self._failures >= 1_000_000 and not self._is_closed:\n",
        red=(
            GATE + "test_many_failures_in_a_row_close_it_to_probes",
            RUN + "test_an_outage_ends_the_run_and_spends_few_rows",
        ),
    ),
    Control(
        name="pause-made-up-for",
        promise="Never faster than the rate",
        file="batcher/adapters/pacing.py",
        right="        slack = max(SLACK_MIN, SLACK_S / interval_s)\n",
        wrong="        slack = max(SLACK_MIN, 30.0 / interval_s)\n",
        red=(
            "tests/adapters/test_pacing.py::test_pause_is_not_made_up_for",
            "tests/adapters/test_pacing.py::test_stalls_ramps_and_changes_exceed_no_window",
        ),
    ),
    Control(
        name="no-credits-fails-the-row",
        promise="Without credits or key the run pauses",
        file="batcher/providers/answers.py",
        right="    402: (ErrorKind.OUT_OF_CREDITS, StopReason.OUT_OF_CREDITS),\n",
        wrong="",
        red=(
            CASES + "test_halts_and_throttles_say_which",
            RUN + "test_an_account_error_pauses_the_run",
        ),
    ),
    # --- Jobs ----------------------------------------------------------------------------------
    Control(
        name="404-in-the-grace-time-fails",
        promise="A young 404 is no failure",
        file="batcher/engine/polling/poll.py",
        right="        if self._age_s(ticket) >= MISSING_GRACE_S:\n",
        wrong="        if self._age_s(ticket) >= 0.0:\n",
        red=(RUN + "test_a_job_that_is_not_visible_yet_is_not_lost",),
    ),
    Control(
        name="one-404-is-enough",
        promise="A young 404 is no failure",
        file="batcher/engine/polling/poll.py",
        right="MISSING_MAX = 3 ",
        wrong="MISSING_MAX = 1 ",
        red=(FOUND + "test_a_job_is_lost_only_by_404s_in_a_row",),
    ),
    Control(
        name="404s-add-up",
        promise="A young 404 is no failure",
        file="batcher/engine/polling/poll.py",
        right="                ticket.missing = ticket.hollow = 0\n",
        wrong="                ticket.hollow = 0\n",
        red=(FOUND + "test_a_job_is_lost_only_by_404s_in_a_row",),
    ),
    Control(
        name="late-job-given-up",
        promise="No job can hang a run",
        file="batcher/engine/polling/poll.py",
        right="        await self._end(ticket, Move.EXHAUST, error=timeout)\n",
        wrong="        await self._end(ticket, Move.FAIL, error=timeout)\n",
        red=(RUN + "test_a_job_that_never_ends_cannot_hang_the_run",),
    ),
    Control(
        name="deadline-of-a-job-ignored",
        promise="No job can hang a run",
        file="batcher/engine/polling/poll.py",
        right="        if age < self._time_s:\n",
        wrong="        if age < 100 * self._time_s:\n",
        red=(RUN + "test_a_job_that_never_ends_cannot_hang_the_run",),
    ),
    Control(
        name="time-of-a-job-counted-anew",
        promise="No job can hang a run",
        file="batcher/engine/feed.py",
        right="        ticket.born = context.clock.now() - max(0.0, since)\n",
        wrong="        ticket.born = context.clock.now()\n",
        red=(FOUND + "test_the_time_of_a_job_goes_on_between_processes",),
    ),
    Control(
        name="unknown-word-fails-the-job",
        promise="Only the API's own words end a job",
        file="batcher/providers/deapi/answers.py",
        right="    if word in FAILED:\n",
        wrong="    if word and word not in PENDING:\n",
        red=(ANSWERS + "test_unknown_words_are_pending",),
    ),
    Control(
        name="signal-cuts-submits-off",
        promise="Signals end a run in order",
        file="batcher/engine/control.py",
        right="        self.interrupted.set()\n",
        wrong="        self.interrupted.set()\n        self.aborted.set()\n",
        red=(RUN + "test_the_first_signal_lets_running_submits_be_answered",),
    ),
    Control(
        name="intent-left-behind-at-the-end",
        promise="Signals end a run in order",
        file="batcher/engine/submit.py",
        right="""\
            await self._back.unsent(ticket)
            self._back.put_back(ticket)
""",
        wrong="            self._back.put_back(ticket)\n",
        red=(FOUND + "test_what_has_not_left_is_taken_back_at_the_end",),
    ),
    Control(
        name="clock-that-was-set-back-obeyed",
        promise="Clock jumps do not matter",
        file="batcher/core/pacing/rates.py",
        right="min(max(self._spent[-nth] + self.period_s - now, 0.0), self.period_s)\n",
        wrong="max(self._spent[-nth] + self.period_s - now, 0.0)\n",
        red=("tests/core/test_rates.py::test_clock_that_was_set_back_costs_one_period_at_most",),
    ),
    # --- Strangers -----------------------------------------------------------------------------
    Control(
        name="body-not-bounded",
        promise="Hostile answers are bounded and not misread",
        file="batcher/adapters/http/conversation.py",
        right="        if len(answer[1]) > bytes_max:\n",
        wrong="        if len(answer[1]) > 100 * bytes_max:\n",
        red=(FOUND + "test_an_answer_is_bounded",),
    ),
    Control(
        name="manifest-read-whole",
        promise="Memory is flat",
        file="batcher/adapters/manifest/manifest.py",
        right="                for line in islice(lines, limit):\n",
        wrong="                for line in list(islice(lines, limit)):\n",
        red=("tests/adapters/test_manifest.py::test_memory_does_not_grow_with_the_manifest",),
    ),
    Control(
        name="call-not-bounded",
        promise="Hostile answers are bounded and not misread",
        file="batcher/adapters/webhooks.py",
        right="BODY_BYTES_MAX: Final = 65_536",
        wrong="BODY_BYTES_MAX: Final = 65_536_000",
        red=(
            "tests/adapters/test_webhooks.py::test_a_body_at_the_limit_is_taken_and_one_above_is_not",
        ),
    ),
    Control(
        name="idle-connection-not-looked-at",
        promise="Hostile answers are bounded and not misread",
        file="batcher/adapters/http/wire.py",
        right="        return not self._poll(0)\n",
        wrong="        return True\n",
        red=(HTTP + "test_connection_closed_while_idle_is_not_reused",),
    ),
    Control(
        name="head-that-ends-elsewhere",
        promise="Hostile answers are bounded and not misread",
        file="batcher/adapters/http/wire.py",
        right="        if len(messages) != 1 or len(head.splitlines()) != len(",
        wrong="        if len(messages) != 1 or 0 > len(",
        red=(WIRE + "test_the_short_way_says_what_the_long_one_says",),
    ),
    Control(
        name="surplus-taken-into-an-answer",
        promise="Hostile answers are bounded and not misread",
        file="batcher/adapters/http/wire.py",
        right='        is_whole = message.headers.get("Content-Length") == str(len(body))\n',
        wrong="        is_whole = True\n",
        red=(WIRE + "test_the_short_way_says_what_the_long_one_says",),
    ),
    Control(
        name="redirect-followed-with-the-key",
        promise="The key goes nowhere else",
        file="batcher/adapters/http/transport.py",
        right="                headers = echoes.blotted_headers(",
        wrong="""\
                if message.code // 100 == 3:
                    import aiohttp

                    key = {"X-API-Key": self._key().reveal()}
                    async with aiohttp.request("GET", message.headers["Location"], headers=key):
                        pass

                headers = echoes.blotted_headers(""",
        red=(HTTP + "test_redirect_is_an_answer",),
        always=True,
    ),
    Control(
        name="key-in-the-log",
        promise="The key goes nowhere else",
        file="batcher/adapters/logs_redaction.py",
        right="            text = self._secrets.sub(HIDDEN, text)\n",
        wrong="            pass\n",
        red=("tests/adapters/test_logs.py::test_a_secret_passes_by_no_way",),
    ),
    Control(
        name="echoed-key-passed-on",
        promise="The key goes nowhere else",
        file="batcher/adapters/http/echoes.py",
        right="            body = body.replace(spelling, HIDDEN.encode())\n",
        wrong="            pass\n",
        red=(HTTP + "test_an_echoed_key_is_not_passed_on",),
    ),
    Control(
        name="key-in-escapes-passed-on",
        promise="The key goes nowhere else",
        file="batcher/adapters/http/echoes.py",
        right='        if b"\\\\u00" in body:\n',
        wrong="        if False:\n",
        red=("tests/adapters/test_http.py::test_an_echoed_key_is_known_in_other_spellings",),
    ),
    Control(
        name="key-over-plain-http",
        promise="The key goes nowhere else",
        file="batcher/adapters/http/origin.py",
        right='    if url.scheme == "http" and not _is_loopback(host):\n',
        wrong='    if url.scheme == "ftp":\n',
        red=(HTTP + "test_unsafe_base_url_is_refused",),
    ),
    Control(
        name="tls-not-verified",
        promise="TLS is verified",
        file="batcher/adapters/http/transport.py",
        right="        self._pool = Pool(self._base, limit=",
        wrong="        self._pool = Pool(self._base, ssl=False, limit=",
        red=(HTTP + "test_untrusted_certificate_is_not_sent",),
    ),
    Control(
        name="row-id-used-as-a-path",
        promise="Files stay in their folder",
        file="batcher/core/names.py",
        right="    if _VARIANT.fullmatch(variant) and _is_harmless(row_id, plain):\n",
        wrong="    if _VARIANT.fullmatch(variant):\n",
        red=("tests/core/test_names.py::test_name_never_escapes",),
    ),
    Control(
        name="planted-link-followed",
        promise="Files stay in their folder",
        file="batcher/adapters/download/file.py",
        right="_READ = os.O_RDONLY | os.O_NOFOLLOW |",
        wrong="_READ = os.O_RDONLY |",
        red=("tests/adapters/test_download.py::test_planted_links_are_not_followed",),
    ),
    # --- Room, and what the journal cannot take ------------------------------------------------
    Control(
        name="submits-go-on-without-room",
        promise="A full disk is waited for",
        file="batcher/engine/room.py",
        right="            lane.gate.hold_until(inf, ROOM)\n",
        wrong="            pass\n",
        red=(ROOM + "test_nothing_new_is_begun_while_there_is_too_little_room",),
    ),
    Control(
        name="first-look-after-the-first-submit",
        promise="A full disk is waited for",
        file="batcher/engine/run.py",
        right="        await self._room.look()\n",
        wrong="",
        red=(ROOM + "test_no_row_is_sent_before_the_first_look",),
    ),
    Control(
        name="waiting-for-room-taken-for-an-outage",
        promise="A full disk is waited for",
        file="batcher/engine/room.py",
        right="            lane.gate.answered(self)  #",
        wrong="            #",
        red=(ROOM + "test_waiting_for_room_is_no_outage_and_no_throttle",),
    ),
    Control(
        name="room-not-found-again",
        promise="A full disk is waited for",
        file="batcher/engine/room.py",
        right="            lane.reopen(ROOM)\n",
        wrong="            pass\n",
        red=(ROOM + "test_no_row_is_sent_before_the_first_look",),
    ),
    Control(
        name="used-up-quota-taken-for-a-broken-disk",
        promise="A full disk is waited for",
        file="batcher/adapters/sqlite/failures.py",
        right="    if primary == sqlite3.SQLITE_FULL or lacks_room(failure, path):\n",
        wrong="    if primary == sqlite3.SQLITE_FULL:\n",
        red=(ERRORS + "test_a_used_up_quota_is_waited_for",),
    ),
    Control(
        name="failed-sync-taken-for-a-quota",
        promise="A failing disk stops all submits",
        file="batcher/adapters/sqlite/room.py",
        right="sqlite3.SQLITE_IOERR_SHMSIZE",
        wrong="sqlite3.SQLITE_IOERR_FSYNC",
        red=(ERRORS + "test_a_failed_sync_is_no_lack_of_room",),
    ),
    Control(
        name="open-submits-cut-off-by-a-failing-journal",
        promise="Job ids outlive the journal",
        file="batcher/engine/books/record.py",
        right="""\
        except Exception as error:
            self._fail(error)
            lost = [group, *self._groups.drain()]
""",
        wrong="""\
        except Exception as error:
            self._fail(error)
            group.failure = error
            group.tell()
            raise
            lost = [group, *self._groups.drain()]
""",
        red=(ERRORS + "test_nothing_is_sent_after_a_failure_and_no_job_id_is_lost",),
    ),
    Control(
        name="job-ids-of-the-failed-group-forgotten",
        promise="Job ids outlive the journal",
        file="batcher/engine/books/record.py",
        right="            await self._keep(unwritten)\n",
        wrong="",
        red=(ERRORS + "test_job_ids_of_the_group_that_failed_are_rescued",),
    ),
    Control(
        name="late-job-ids-forgotten",
        promise="Job ids outlive the journal",
        file="batcher/engine/books/record.py",
        right="        await self._keep([(event, ticket)])\n",
        wrong="",
        red=(ERRORS + "test_nothing_is_sent_after_a_failure_and_no_job_id_is_lost",),
    ),
    Control(
        name="untold-job-ids-forgotten",
        promise="Job ids outlive the journal",
        file="batcher/engine/books/rescue.py",
        right="            self._untold += lines\n",
        wrong="",
        red=(ERRORS + "test_job_ids_that_cannot_be_written_down_are_told",),
    ),
    Control(
        name="rescued-job-of-another-run-adopted",
        promise="Job ids outlive the journal",
        file="batcher/engine/books/rescue.py",
        right=" or held.attempts[-1].intent_at != told.intent_at:\n",
        wrong=":\n",
        red=(ERRORS + "test_a_line_of_another_attempt_is_left_and_told",),
    ),
    Control(
        name="rescue-file-removed-with-lines-left",
        promise="Job ids outlive the journal",
        file="batcher/engine/books/rescue.py",
        right="        if lines and not left:\n",
        wrong="        if lines:\n",
        red=(ERRORS + "test_a_line_of_another_attempt_is_left_and_told",),
    ),
    Control(
        name="submits-go-on-after-a-failure",
        promise="A failing disk stops all submits",
        file="batcher/engine/books/record.py",
        right="            self._fail(error)\n            lost =",
        wrong="            lost =",
        red=(RECORD + "test_a_failed_disk_ends_the_run_and_answers_everybody",),
    ),
    Control(
        name="edited-outcome-file-cut-back",
        promise="Outcome files are whole lines",
        file="batcher/engine/books/opening.py",
        right='        if there == (record.get("outcome"), record.get("line")):\n',
        wrong="        if there == record:\n",
        red=(DAMAGE + "test_an_edited_outcome_file_is_refused",),
    ),
    Control(
        name="journal-not-checked-at-the-start",
        promise="A failing disk stops all submits",
        file="batcher/adapters/sqlite/connection.py",
        right="next(checks for bytes_max, checks in CHECKS if size_bytes <= bytes_max):\n",
        wrong="():\n",
        red=("tests/adapters/test_sqlite_file.py::test_a_flipped_byte_never_empties_a_journal",),
    ),
    Control(
        name="download-folder-not-tried",
        promise="A full disk is waited for",
        file="batcher/engine/session.py",
        right="    if not os.access(folder, os.W_OK | os.X_OK, effective_ids=effective):\n",
        wrong="    if not folder.is_dir():\n",
        red=(
            DIRECTORIES
            + "test_a_download_folder_that_cannot_be_written_to_is_refused_at_the_start",
        ),
    ),
    # --- Looks ---------------------------------------------------------------------------------
    Control(
        name="age-of-the-read-taken-for-the-duration",
        promise="Reads teach no more than they saw",
        file="batcher/engine/polling/looks.py",
        right="            look = Look(watch.seen_s, age_s, ended)\n",
        wrong="            look = Look(0.999 * age_s if ended else watch.seen_s, age_s, ended)\n",
        red=(LOOKS + "test_a_read_teaches_what_it_saw_and_no_more",),
        always=True,
    ),
    Control(
        name="jobs-that-still-run-not-counted",
        promise="Reads teach no more than they saw",
        file="batcher/engine/polling/looks.py",
        right="        self._learn(watch, age_s, ended=False)\n",
        wrong="",
        red=(LOOKS + "test_a_read_teaches_what_it_saw_and_no_more",),
    ),
    Control(
        name="age-of-another-process-believed",
        promise="Reads teach no more than they saw",
        file="batcher/engine/polling/looks.py",
        right="        watch = ticket.watch or self._watch(ticket, teaches=False)\n",
        wrong="        watch = ticket.watch or self._watch(ticket, teaches=True)\n",
        red=(LOOKS + "test_a_job_whose_age_is_not_sure_teaches_nothing",),
    ),
    Control(
        name="damaged-memory-ends-the-run",
        promise="Reads teach no more than they saw",
        file="batcher/adapters/learned.py",
        right="UNUSABLE = (OSError, ValueError, LookupError, TypeError, AttributeError)\n",
        wrong="UNUSABLE = (OSError,)\n",
        red=("tests/adapters/test_learned.py::test_a_damaged_file_is_told_and_replaced",),
    ),
    Control(
        name="plan-outweighs-retry-after",
        promise="No look is too early, too late or left out",
        file="batcher/engine/polling/looks.py",
        right="max(ticket.born + age_s, watch.not_before)",
        wrong="ticket.born + age_s",
        red=(LOOKS + "test_what_the_api_asked_for_outweighs_every_plan",),
        always=True,
    ),
    Control(
        name="plan-outweighs-the-deadline",
        promise="No look is too early, too late or left out",
        file="batcher/engine/polling/looks.py",
        right="        return max(min(due, deadline) if deadline > now else due, now)\n",
        wrong="        return max(due, now)\n",
        red=(LOOKS + "test_what_the_api_asked_for_outweighs_every_plan",),
    ),
    Control(
        name="new-plan-queues-what-is-being-read",
        promise="No look is too early, too late or left out",
        file="batcher/core/schedule.py",
        right="        waits = item in self._places\n",
        wrong="        waits = True\n",
        red=(
            LOOKS + "test_a_job_that_is_being_read_is_not_queued_again",
            "tests/core/test_schedule.py::test_a_due_item_may_still_be_put_off",
        ),
    ),
    Control(
        name="due-jobs-swept-again-and-again",
        promise="No look is too early, too late or left out",
        file="batcher/core/schedule.py",
        right="        if len(self._line) + len(self._ready) > self._roomy:\n",
        wrong="        if len(self._line) + len(self._ready) > 2 * len(self._places) + 64:\n",
        red=("tests/core/test_schedule.py::test_taking_one_costs_the_same_however_many_are_due",),
    ),
    Control(
        name="few-rows-looked-at-all-the-time",
        promise="No look is too early, too late or left out",
        file="batcher/engine/polling/allowance.py",
        right="min(LAST_JOBS, self.rows_ended * LAST_SHARE)",
        wrong="LAST_JOBS",
        red=("tests/engine/test_allowance.py::test_the_last_jobs_are_few_beside_all_rows",),
    ),
    Control(
        name="unlikely-jobs-starve",
        promise="No look is too early, too late or left out",
        file="batcher/core/schedule.py",
        right="        if now - place.due <= PATIENCE_S:\n",
        wrong="        if now >= place.due:\n",
        red=("tests/core/test_schedule.py::test_nothing_waits_for_ever_behind_higher_ranks",),
    ),
    Control(
        name="jobs-hammered-by-a-sharp-plan",
        promise="No look is too early, too late or left out",
        file="batcher/engine/polling/looks.py",
        right="            age_s = max(age_s, watch.seen_s + PAUSE_MIN_S)\n",
        wrong="            pass\n",
        red=(LOOKS + "test_a_sharp_plan_hammers_nobody",),
    ),
    Control(
        name="every-job-a-pioneer",
        promise="No look is too early, too late or left out",
        file="batcher/core/polling/looking.py",
        right="        if self.plan is not None:\n            return False\n",
        wrong="        if self.plan is None:\n            return True\n",
        red=("tests/core/test_looking.py::test_pioneers_are_few_and_only_while_nothing_is_known",),
    ),
    Control(
        name="classes-of-jobs-not-bounded",
        promise="Memory is flat",
        file="batcher/engine/polling/looks.py",
        right="        if len(self.classes) < CLASSES_MAX:\n",
        wrong="        if self.classes is not None:\n",
        red=(LOOKS + "test_classes_are_bounded",),
    ),
    # --- The network -----------------------------------------------------------------------------
    Control(
        name="connection-not-noted",
        promise="No row is paid twice",
        file="batcher/adapters/connections.py",
        right="        way.found(connection)\n",
        wrong="",
        red=(
            NETWORK + "test_a_network_that_breaks_costs_nothing",
            MALFORMED + "test_no_answer_is_misread",
            HTTP + "test_no_whole_answer_is_lost",
        ),
    ),
    Control(
        name="failed-lookup-taken-for-a-doubt",
        promise="What never left is not in doubt",
        file="batcher/adapters/http/failure.py",
        right="    for kind, text in _NOT_SENT + (_NOTHING_LEFT if nothing_left else ()):\n",
        wrong="    for kind, text in _NOT_SENT:\n",
        red=(
            DNS + "test_a_name_that_does_not_resolve_is_not_sent",
            DNS + "test_a_name_that_is_none_is_not_sent",
        ),
    ),
    Control(
        name="cut-answer-believed",
        promise="Hostile answers are bounded and not misread",
        file="batcher/adapters/http/conversation.py",
        right="""\
    while len(body) <= bytes_max and (piece := await content.read(CHUNK_BYTES)):
        body += piece
""",
        wrong="""\
    try:
        while piece := await content.read(CHUNK_BYTES):
            body += piece
    except aiohttp.ClientPayloadError:
        pass
""",
        red=(MALFORMED + "test_no_answer_is_misread", HTTP + "test_no_whole_answer_is_lost"),
    ),
    Control(
        name="deadline-left-to-the-peer",
        promise="Hostile answers are bounded and not misread",
        file="batcher/adapters/connections.py",
        right="            transport.abort()\n",
        wrong="            pass\n",
        red=(
            CONNECTIONS + "test_a_request_that_nothing_else_ends_is_cut_off",
            CONNECTIONS + "test_every_deadline_is_kept_by_one_timer",
        ),
    ),
    Control(
        name="body-cut-off-taken-for-whole",
        promise="Hostile answers are bounded and not misread",
        file="batcher/adapters/http/transport.py",
        right="                if way.is_over and not _has_length(message):",
        wrong="                if False:",
        red=(CONNECTIONS + "test_a_request_ends_in_time_whatever_the_peer_does",),
    ),
    Control(
        name="deadline-before-what-has-arrived",
        promise="Hostile answers are bounded and not misread",
        file="batcher/adapters/connections.py",
        right="            self._loop.call_later(GRACE_S, _cut, late)\n",
        wrong="            _cut(late)\n",
        red=(CONNECTIONS + "test_an_answer_that_came_while_the_process_slept_is_read",),
    ),
    Control(
        name="interim-answers-not-bounded",
        promise="Hostile answers are bounded and not misread",
        file="batcher/adapters/http/conversation.py",
        right="INTERIM_MAX = 100 ",
        wrong="INTERIM_MAX = 1_000_000_000 ",
        red=(CONNECTIONS + "test_a_flood_of_interim_answers_is_not_heard_to_its_end",),
    ),
    Control(
        name="half-said-connection-used-again",
        promise="Hostile answers are bounded and not misread",
        file="batcher/adapters/http/conversation.py",
        right="    if is_over or transport.get_write_buffer_size():",
        wrong="    if False:",
        red=(HTTP + "test_half_sent_connection_is_not_reused",),
    ),
    Control(
        name="header-that-is-two",
        promise="The key goes nowhere else",
        file="batcher/adapters/http/heads.py",
        right="    if not _HEADER.fullmatch(line):\n",
        wrong="    if False:\n",
        red=(HTTP + "test_a_header_that_would_be_two_is_a_bug",),
    ),
    Control(
        name="replaced-key-still-sent",
        promise="The key goes nowhere else",
        file="batcher/adapters/http/transport.py",
        right="        if key is not self._key_in_use:\n",
        wrong="        if self._key_in_use is None:\n",
        red=(HTTP + "test_each_request_has_the_key_of_its_time",),
    ),
    Control(
        name="any-status-word-ends-a-job",
        promise="Hostile answers are bounded and not misread",
        file="batcher/providers/answers.py",
        right="    if status in (404, 410) and not is_page(response):\n",
        wrong="    if status >= 400 and not is_page(response):\n",
        red=(MALFORMED + "test_no_answer_is_misread",),
    ),
    Control(
        name="early-answer-with-a-job-forgotten",
        promise="No paid job is forgotten",
        file="batcher/providers/answers.py",
        right="    if job_id is not None:\n        return doubt(",
        wrong="    if job_id is not None and status >= 500:\n        return doubt(",
        red=(
            MALFORMED + "test_no_answer_is_misread",
            ANSWERS + "test_named_job_is_never_forgotten",
        ),
    ),
    Control(
        name="private-address-called",
        promise="Downloads stay on the public network",
        file="batcher/adapters/download/downloader.py",
        right="            socket_factory=None if self._allow_private else public_socket,\n",
        wrong="",
        red=(
            DNS + "test_a_name_that_leads_home_is_not_called",
            DNS + "test_a_redirect_that_leads_home_is_not_followed",
            "tests/adapters/test_download.py::test_private_address_is_refused",
        ),
    ),
    Control(
        name="submits-go-on-after-a-signal",
        promise="Signals end a run in order",
        file="batcher/engine/control.py",
        right="        self.halt(stop)\n        self.interrupted.set()\n",
        wrong="        self.interrupted.set()\n",
        red=("tests/e2e/test_kill.py::test_a_signal_ends_a_run_gracefully",),
    ),
    # --- Time ----------------------------------------------------------------------------------
    Control(
        name="submits-go-on-to-the-deadline",
        promise="What is paid for is collected in time",
        file="batcher/engine/deadline.py",
        right="    return Step.SUBMIT_NO_MORE if left_s <= finish_s else Step.GO_ON\n",
        wrong="    return Step.GO_ON\n",
        red=(
            DEADLINE + "test_what_is_paid_for_is_collected_in_time",
            DEADLINE + "test_known_jobs_are_all_collected_in_time",
            DEADLINE + "test_jobs_that_nobody_knows_get_two_thirds_of_the_time",
            DEADLINE + "test_a_time_shorter_than_one_job_submits_nothing",
        ),
    ),
    Control(
        name="what-earlier-runs-learned-is-forgotten-at-the-deadline",
        promise="What is paid for is collected in time",
        file="batcher/engine/deadline.py",
        right="            return self._learned_before_s(ticket, share)\n",
        wrong="            return None\n",
        red=(DEADLINE + "test_a_time_shorter_than_one_job_submits_nothing",),
    ),
    Control(
        name="wall-clock-read-once",
        promise="What is paid for is collected in time",
        file="batcher/engine/deadline.py",
        right="        return time_left_s(self._context.settings, clock.now() - self._began, "
        "clock.wall())\n",
        wrong="        elapsed_s = clock.now() - self._began\n"
        "        wall = getattr(self, '_wall', None) or clock.wall()\n"
        "        self._wall = wall\n"
        "        return time_left_s(self._context.settings, elapsed_s, wall + elapsed_s)\n",
        red=(DEADLINE + "test_the_clock_that_is_set_counts",),
    ),
    Control(
        name="plan-ignores-days-caps",
        promise="A plan forgets no limit",
        file="batcher/core/pacing/turns.py",
        right="        full = max(0, ceil(count) - 1) // int(cap.count)\n",
        wrong="        full = 0\n",
        red=(
            FORECAST + "test_no_window_is_forgotten",
            FORECAST + "test_a_days_cap_makes_days",
            "tests/cli/test_plan.py::test_a_days_limit_of_status_reads",
        ),
    ),
    Control(
        name="plan-ignores-the-places-in-flight",
        promise="A plan forgets no limit",
        file="batcher/core/forecast.py",
        right="    places = [0.0] * min(work.in_flight, len(durations_s))\n",
        wrong="    places = [0.0] * len(durations_s)\n",
        red=(FORECAST + "test_a_run_that_is_played_through_comes_out_as_told",),
    ),
    Control(
        name="status-limit-not-seen",
        promise="What holds a run back is named",
        file="batcher/core/binding.py",
        right="    if scene.status.is_at_limit:\n",
        wrong="    if scene.status.is_used_up:\n",
        red=(
            "tests/core/test_binding.py::test_the_one_that_binds",
            "tests/engine/test_scene.py::test_the_limit_that_binds_takes_most_of_the_time",
        ),
    ),
    Control(
        name="binding-flickers",
        promise="What holds a run back is named",
        file="batcher/core/binding.py",
        right="        return now >= self._rival_since + LASTS_S\n",
        wrong="        return True\n",
        red=("tests/core/test_binding.py::test_a_finding_must_last_to_be_shown",),
    ),
    # --- Pace ----------------------------------------------------------------------------------
    Control(
        name="back-at-once-after-a-throttle",
        promise="A limit that is met holds everybody, and a 429 costs no attempt",
        file="batcher/core/pacing/gate.py",
        right="            self._ramp.begin(self._closed_s)\n",
        wrong="",
        red=(
            GATE + "test_after_the_probe_the_lane_comes_back_along_a_line",
            PACE + "test_nothing_starts_before_the_time_that_a_429_names",
        ),
    ),
    Control(
        name="outage-behind-a-429-met-at-full-speed",
        promise="A limit that is met holds everybody, and a 429 costs no attempt",
        file="batcher/core/pacing/gate.py",
        right="self._failures >= FAILURES_MAX and not self._is_closed:",
        wrong="self._failures >= FAILURES_MAX and not self._probing:",
        red=("tests/engine/test_strays.py::test_an_outage_behind_a_429_puts_few_rows_in_doubt",),
    ),
    Control(
        name="second-tries-leave-through-a-closed-gate",
        promise="A limit that is met holds everybody, and a 429 costs no attempt",
        file="batcher/engine/doubt/resend.py",
        right="        if self._means.is_recalled(ticket):\n",
        wrong="        if False:\n",
        red=(
            PLACES + "test_what_is_sent_again_does_not_leave_through_a_gate_that_closed",
            PLACES + "test_nothing_is_sent_again_after_a_signal",
        ),
    ),
    Control(
        name="prepared-submits-leave-through-a-closed-gate",
        promise="A limit that is met holds everybody, and a 429 costs no attempt",
        file="batcher/engine/withdraw.py",
        right="            is_refused = not gate.is_probe(ticket)\n",
        wrong="            is_refused = False\n",
        red=(PLACES + "test_what_was_prepared_does_not_leave_through_a_gate_that_closed",),
    ),
    Control(
        name="intents-written-long-before-they-leave",
        promise="What never left is not in doubt",
        file="batcher/engine/lanes/places.py",
        right="int(self._per_s * AHEAD_S)",
        wrong="AHEAD_MAX",
        red=(PLACES + "test_nothing_is_prepared_long_before_it_is_sent",),
    ),
    Control(
        name="more-started-before-an-answer-is-understood",
        promise="A limit that is met holds everybody, and a 429 costs no attempt",
        file="batcher/engine/lanes/lane.py",
        right="                if rest is not None:\n                    await rest\n",
        wrong="""\
                await anyio.lowlevel.checkpoint()
                if rest is not None:
                    await rest
""",
        red=(LANE + "test_an_answer_that_closes_the_gate_lets_nothing_more_start",),
    ),
    Control(
        name="short-waits-taken-at-their-word",
        promise="A limit that is met holds everybody, and a 429 costs no attempt",
        file="batcher/core/pacing/gate.py",
        right="        return max(wait, self._again_s())\n",
        wrong="        return wait\n",
        red=(
            GATE + "test_a_storm_with_short_waits_costs_few_probes",
            PACE + "test_a_storm_costs_few_refusals_and_the_pace_comes_back",
        ),
    ),
    Control(
        name="limits-taken-for-strays",
        promise="A limit that is met holds everybody, and a 429 costs no attempt",
        file="batcher/core/pacing/strays.py",
        right="        return passed >= RARE and held <= HELPS * passed\n",
        wrong="        return True\n",
        red=(
            "tests/core/test_strays.py::test_where_holding_helps_the_lane_is_held",
            "tests/core/test_strays.py::test_what_is_frequent_is_no_accident",
            (
                "tests/engine/test_strays.py::"
                "test_a_limit_is_met_hardly_more_often_than_without_any_doubt"
            ),
        ),
    ),
    Control(
        name="walls-tried-for-long",
        promise="A limit that is met holds everybody, and a 429 costs no attempt",
        file="batcher/core/pacing/suspicion.py",
        right="        return self.against >= TRIALS\n",
        wrong="        return self.against >= 10 * TRIALS\n",
        red=(
            GATE + "test_without_one_on_its_way_two_requests_try",
            (
                "tests/engine/test_strays.py::"
                "test_a_wall_sees_two_trials_and_then_nothing_until_the_time_it_named"
            ),
        ),
    ),
    Control(
        name="old-answers-clear-a-429",
        promise="A limit that is met holds everybody, and a 429 costs no attempt",
        file="batcher/core/pacing/suspicion.py",
        right="        return start > self.start\n",
        wrong="        return start > 0\n",
        red=(GATE + "test_what_left_before_says_nothing_of_a_limit",),
    ),
    Control(
        name="no-retry-quota",
        promise="Retries are bounded",
        file="batcher/core/pacing/quota.py",
        right="        return 0.0 if self.tokens >= 1.0 else max(0.0, self._free_at - now)\n",
        wrong="        return 0.0\n",
        red=(
            "tests/core/test_quota.py::test_nobody_waits_for_ever",
            PACE + "test_retries_are_few_beside_first_tries_where_all_fail",
        ),
    ),
    Control(
        name="rows-spent-on-probes",
        promise="Retries are bounded",
        file="batcher/engine/lanes/scout.py",
        right="        if self._lane.gate.why != FAILING:\n",
        wrong="        if self._lane.gate.why:\n",
        red=(PACE + "test_in_an_outage_the_balance_is_asked_before_a_row_may_try",),
    ),
    Control(
        name="outage-seen-only-while-closed",
        promise="Retries are bounded",
        file="batcher/engine/lanes/opening.py",
        right="        lane.watchers.append(guard)\n",
        wrong="        pass\n",
        red=(PACE + "test_an_outage_of_a_lane_that_is_hardly_used_ends_the_run",),
    ),
    Control(
        name="starts-counted-after-they-were-handed-out",
        promise="Never faster than the rate",
        file="batcher/engine/lanes/starts.py",
        right="        if self.scout is not None and self._gate.is_probe(item):\n",
        wrong="        if True:\n",
        red=(LANE + "test_a_cap_counts_what_was_handed_out",),
    ),
    Control(
        name="windows-by-the-spread-alone",
        promise="Never faster than the rate",
        file="batcher/adapters/pacing.py",
        right="            self._trail.wait_s(bucket.windows, now, amount),\n",
        wrong="            0.0,\n",
        red=("tests/adapters/test_pacing.py::test_no_window_sees_one_too_many",),
    ),
    Control(
        name="a-new-rate-begins-with-slack",
        promise="Never faster than the rate",
        file="batcher/adapters/pacing.py",
        right="        if not self._is_new:\n            surplus -= bucket.slack\n",
        wrong="        surplus -= bucket.slack\n",
        red=(
            "tests/adapters/test_pacing.py::test_a_rate_that_changes_all_the_time_is_never_exceeded",
        ),
    ),
    Control(
        name="auto-never-lowers",
        promise="A limit that nobody told is found",
        file="batcher/core/pacing/finding.py",
        right="        before, self.level = self.level, max(hit * keep, self._floor)\n",
        wrong="        before = self.level\n",
        red=(
            "tests/core/test_finding.py::test_it_converges_and_stays",
            "tests/engine/test_auto.py::test_a_hidden_limit_is_found_and_kept_to",
        ),
    ),
    Control(
        name="auto-forgets-what-refused",
        promise="A limit that nobody told is found",
        file="batcher/core/pacing/finding.py",
        right="        self._hit, self._used_s, self._slow_steps = hit, 0.0, 0\n",
        wrong="        self._used_s, self._slow_steps = 0.0, 0\n",
        red=("tests/core/test_finding.py::test_it_converges_and_stays",),
    ),
    Control(
        name="submits-before-paid-results",
        promise="Never faster than the rate",
        file="batcher/engine/lanes/total.py",
        right="return TURN_S if any(rival.turn < claim.turn for rival in rivals) else 0.0\n",
        wrong="return 0.0 if list(rivals) else 0.0\n",
        red=("tests/engine/test_total.py::test_reads_of_paid_jobs_are_not_starved_by_submits",),
    ),
    Control(
        name="days-total-spent-on-submits",
        promise="Never faster than the rate",
        file="batcher/engine/lanes/total.py",
        right="    return lambda: READS_KEPT * (jobs_open() + 1)\n",
        wrong="    return lambda: 0 * (jobs_open() + 1)\n",
        red=(
            "tests/engine/test_total.py::test_of_a_days_total_submits_leave_the_reads_of_paid_jobs",
        ),
    ),
    Control(
        name="every-opening-believed",
        promise="Never faster than the rate",
        file="batcher/engine/lanes/resets.py",
        right="        return last is None or at >= last + APART * period_s\n",
        wrong="        return last is None or at >= last\n",
        red=(PACE + "test_a_header_that_is_nonsense_does_not_do_away_with_the_day",),
    ),
    Control(
        name="the-apis-day-forgotten-over-a-restart",
        promise="Never faster than the rate",
        file="batcher/engine/lanes/days.py",
        right="facts = {name: openings.as_fact() for name, openings in self._openings.items()}\n",
        wrong="facts: dict[str, str] = {}\n",
        red=(PACE + "test_a_run_goes_on_when_the_apis_day_begins_anew",),
    ),
    Control(
        name="committed-lines-taken-back",
        promise="A full disk is waited for",
        file="batcher/engine/books/record.py",
        right="            if error.disk_full and lengths:",
        wrong="            if error.disk_full:",
        red=(
            RECORD + "test_a_full_disk_takes_back_nothing_that_was_committed",
            RECORD + "test_a_full_disk_takes_back_only_what_this_group_added",
            "tests/engine/test_hard_nights.py::test_a_disk_that_is_full_now_and_then_loses_no_line",
        ),
    ),
    # --- Inputs, clocks, crashes ---------------------------------------------------------------
    Control(
        name="attempts-forgotten-over-a-crash",
        promise="A crash is like none",
        file="batcher/adapters/sqlite/reading.py",
        right="        spent=spent,\n",
        wrong="        spent=0,\n",
        red=("tests/proofs/test_equivalence.py::test_a_crash_anywhere_is_like_none",),
    ),
    Control(
        name="older-run-file-not-read",
        promise="Older runs go on",
        file="batcher/adapters/runfile.py",
        right='run.pop("params_json", {})',
        wrong='run.pop("params_json")',
        red=("tests/proofs/test_golden.py::test_who_only_reads_changes_nothing",),
    ),
    Control(
        name="paid-jobs-of-an-older-journal-not-followed",
        promise="Older runs go on",
        file="batcher/engine/run.py",
        right="            await self._feed.follow_jobs()\n",
        wrong="            self.control.on_halt += []\n",
        red=("tests/proofs/test_golden.py::test_an_old_run_goes_on_to_its_end",),
    ),
    Control(
        name="edited-row-sent-unasked",
        promise="A changed manifest is noticed",
        file="batcher/adapters/sqlite/admission.py",
        right="        if not self._allow_changed:\n",
        wrong="        if self._allow_changed:\n",
        red=("tests/proofs/test_inputs.py::test_what_a_changed_manifest_leads_to",),
    ),
    Control(
        name="second-version-of-a-row-paid-too",
        promise="A changed manifest is noticed",
        file="batcher/adapters/sqlite/admission.py",
        right="            return Admission(entry, Standing.CHANGED_LATE)\n",
        wrong="            pass\n",
        red=("tests/proofs/test_edits.py::test_random_edits_pay_for_no_row_twice",),
    ),
    Control(
        name="parameters-compared-as-python-does",
        promise="Another meaning is refused",
        file="batcher/adapters/runfile.py",
        right="return json.dumps(before, sort_keys=True) == json.dumps(after, sort_keys=True)\n",
        wrong="return before == after\n",
        red=("tests/proofs/test_resume.py::test_what_a_run_is_about_cannot_change",),
    ),
    Control(
        name="age-of-a-job-by-the-wall-clock",
        promise="Clock jumps do not matter",
        file="batcher/engine/polling/poll.py",
        right="        return self._context.clock.now() - ticket.born\n",
        wrong="        return self._context.clock.wall() - (ticket.accepted_at or 0.0)\n",
        red=("tests/proofs/test_clocks.py::test_a_jump_changes_nothing_that_is_sent",),
    ),
    Control(
        name="key-handed-to-the-last-command",
        promise="The key goes nowhere else",
        file="batcher/cli/night/last_words.py",
        right="        if name not in secret and key.reveal() not in value\n",
        wrong="        if name not in KEPT_BACK\n",
        red=("tests/cli/test_night.py::test_a_good_end_is_told_to_the_command_and_to_nobody_else",),
    ),
    Control(
        name="address-of-a-message-followed-elsewhere",
        promise="The key goes nowhere else",
        file="batcher/adapters/notify.py",
        right="allow_redirects=False",
        wrong="allow_redirects=True",
        red=("tests/adapters/test_notify.py::test_it_is_tried_a_little",),
    ),
    Control(
        name="whole-answer-thrown-away-with-its-connection",
        promise="Hostile answers are bounded and not misread",
        file="batcher/adapters/http/conversation.py",
        right="    is_over = transport.is_closing() or (",
        wrong="    is_over = (",
        red=(HTTP + "test_a_whole_answer_over_tls_counts_whatever_follows_it",),
    ),
    Control(
        name="odd-answer-quoted-with-the-key-in-it",
        promise="The key goes nowhere else",
        file="batcher/adapters/http/failure.py",
        right='        why = str(why).partition(":")[0]\n',
        wrong="        pass\n",
        red=(HTTP + "test_a_key_in_what_is_not_http_is_not_passed_on",),
    ),
    # --- A run that never was ------------------------------------------------------------------
    Control(
        name="refused-run-taken-away-with-its-rows",
        promise="One owner",
        file="batcher/cli/driving/beginning.py",
        right=' or counters_of(parts).get("rows", 0):\n',
        wrong=":\n",
        red=(
            "tests/cli/test_beginning.py::test_a_run_with_a_row_stays",
            "tests/cli/test_beginning.py::test_workers_with_a_row_stay",
        ),
    ),
    Control(
        name="lock-of-a-directory-that-went-away",
        promise="One owner",
        file="batcher/adapters/rundir.py",
        right="            if not (_is_at(lock, self._lock) and _is_at(alive, self._alive)):\n",
        wrong="            if False:\n",
        red=(RUNDIR + "test_a_lock_that_was_taken_away_owns_nothing",),
    ),
    # --- Several workers -----------------------------------------------------------------------
    Control(
        name="copies-of-a-row-in-two-shards",
        promise="Several workers are as one",
        file="batcher/core/shards.py",
        right="    known = row_id if twin is None else twin[1]\n",
        wrong="    known = row_id\n",
        red=(
            "tests/core/test_shards.py::test_copies_of_a_derived_id_meet",
            SHARDS + "test_rows_stand_the_same_however_many_shards",
        ),
    ),
    Control(
        name="each-worker-has-the-whole-limit",
        promise="Several workers are as one",
        file="batcher/core/shards.py",
        right="    if rate is None or parts == 1:\n",
        wrong="    if rate is None or parts >= 1:\n",
        red=(SHARDS + "test_parts_keep_the_limit_where_requests_arrive",),
    ),
    Control(
        name="each-worker-has-the-whole-budget",
        promise="Several workers are as one",
        file="batcher/cli/workers/orders.py",
        right="None if jobs is None else part_of(jobs, shard, shards)",
        wrong="jobs",
        red=("tests/cli/test_shard_books.py::test_parts_of_a_budget_are_the_budget",),
    ),
    Control(
        name="used-up-part-halts-all",
        promise="Several workers are as one",
        file="batcher/engine/shards/link.py",
        right="        if control.stop.reason is StopReason.BUDGET:\n",
        wrong="        if False:\n",
        red=(SHARDS + "test_a_part_that_is_used_up_ends_nobody_else",),
    ),
    Control(
        name="part-handed-over-at-once",
        promise="Several workers are as one",
        file="batcher/cli/workers/conductor.py",
        right="        await anyio.sleep(self._settle_s)\n",
        wrong="",
        red=(CONDUCTOR + "test_the_part_of_one_that_ended_goes_to_the_others_a_window_later",),
    ),
    Control(
        name="lost-shard-begun-anew",
        promise="Several workers are as one",
        file="batcher/cli/parts.py",
        right="    if lost is not None:\n",
        wrong="    if False:\n",
        red=("tests/cli/test_shard_books.py::test_a_shard_that_is_gone_is_not_begun_anew",),
    ),
    Control(
        name="lines-merged-before-they-count",
        promise="Several workers are as one",
        file="batcher/adapters/merged.py",
        right="                    _copy_bytes(lines, file, end - start)\n",
        wrong="                    file.write(lines.read())\n",
        red=("tests/adapters/test_merged.py::test_only_what_is_committed_is_copied",),
    ),
)
