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
FILE = "tests/adapters/test_sqlite_file.py::"
OUTCOMES = "tests/adapters/test_outcomes.py::"
RUNDIR = "tests/adapters/test_rundir.py::"
HTTP = "tests/adapters/test_http.py::"
ANSWERS = "tests/providers/test_any_answer.py::"
CASES = "tests/providers/test_conformance.py::"
CALLS = "tests/providers/test_deapi_calls.py::"
FOUND = "tests/proofs/test_found.py::"
GATE = "tests/core/test_gate.py::"
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
            ).send(None)
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
        file="batcher/engine/record.py",
        right="""\
        group = self._next_group()
        try:
""",
        wrong="""\
        group = self._next_group()
        for wish in group:
            wish.answer = True
            wish.done.set()

        try:
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
        right="            await self._finish_all(Move.DOUBT, lost)\n",
        wrong="""\
            from batcher.core.events import Withdraw

            for ticket, _, _ in lost:
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
        red=(HTTP + "test_no_whole_answer_is_lost",),
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
        right="        self._session._retry_connection = False\n",
        wrong="",
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
        name="claim-of-an-earlier-attempt-adopted",
        promise="A call must prove itself",
        file="batcher/engine/webhooks/adoption.py",
        right="    if told.generation < held.ticket.generation:\n",
        wrong="    if told.generation > held.ticket.generation:\n",
        red=(CLAIMS + "test_a_job_of_an_earlier_attempt_is_told_and_not_adopted",),
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
        file="batcher/engine/submit.py",
        right="            context.recorder.count(DUPLICATES)\n",
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
        wrong="",
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
        file="batcher/engine/record.py",
        right="            if error.disk_full:\n                self._outcomes.take_back()\n",
        wrong="",
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
        file="batcher/engine/session.py",
        right="        if job_id and (held is None or held.ticket.job_id != job_id):\n",
        wrong="        if job_id and held is None and not outcomes:\n",
        red=(CRASH + "test_an_older_journal_is_refused",),
    ),
    Control(
        name="lost-log-accepted",
        promise="A failing disk stops all submits",
        file="batcher/engine/session.py",
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
        file="batcher/engine/record.py",
        right="""\
        lengths = self._outcomes.append(lines) if lines else {}
        try:
            return self._journal.apply(events, lengths, counters)
""",
        wrong="""\
        try:
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
        promise="A 429 holds everybody and costs no attempt",
        file="batcher/engine/withdraw.py",
        right='            context.recorder.count("throttled")\n',
        wrong='            context.recorder.count("throttled")\n            ticket.spent += 1\n',
        red=(RUN + "test_a_throttle_spends_no_attempt_and_makes_no_storm",),
    ),
    Control(
        name="429-spends-an-attempt-on-disk",
        promise="A 429 holds everybody and costs no attempt",
        file="batcher/engine/withdraw.py",
        right="                spent=not verdict.throttled,\n",
        wrong="                spent=True,\n",
        red=(FOUND + "test_a_throttle_spends_no_attempt_in_the_next_process_either",),
    ),
    Control(
        name="retry-after-ignored",
        promise="A 429 holds everybody and costs no attempt",
        file="batcher/core/gate.py",
        right="        wait = growing if wait_s is None else min(max(wait_s, 0.0), WAIT_MAX_S)\n",
        wrong="        wait = 1.0\n",
        red=(GATE + "test_a_throttle_holds_everybody_at_least_as_long_as_asked",),
    ),
    Control(
        name="outage-met-at-full-speed",
        promise="Retries are bounded",
        file="batcher/core/gate.py",
        right="        elif self._failures >= FAILURES_MAX and not self._probing:\n",
        wrong="        elif self._failures >= 1_000_000 and not self._probing:\n",
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
        red=("tests/adapters/test_pacing.py::test_pause_is_not_made_up_for",),
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
        file="batcher/engine/poll.py",
        right="        if self._age_s(ticket) >= MISSING_GRACE_S:\n",
        wrong="        if self._age_s(ticket) >= 0.0:\n",
        red=(RUN + "test_a_job_that_is_not_visible_yet_is_not_lost",),
    ),
    Control(
        name="one-404-is-enough",
        promise="A young 404 is no failure",
        file="batcher/engine/poll.py",
        right="MISSING_MAX = 3 ",
        wrong="MISSING_MAX = 1 ",
        red=(FOUND + "test_a_job_is_lost_only_by_404s_in_a_row",),
    ),
    Control(
        name="404s-add-up",
        promise="A young 404 is no failure",
        file="batcher/engine/poll.py",
        right="                ticket.missing = ticket.hollow = 0\n",
        wrong="                ticket.hollow = 0\n",
        red=(FOUND + "test_a_job_is_lost_only_by_404s_in_a_row",),
    ),
    Control(
        name="late-job-given-up",
        promise="No job can hang a run",
        file="batcher/engine/poll.py",
        right="        await self._end(ticket, Move.EXHAUST, error=timeout)\n",
        wrong="        await self._end(ticket, Move.FAIL, error=timeout)\n",
        red=(RUN + "test_a_job_that_never_ends_cannot_hang_the_run",),
    ),
    Control(
        name="deadline-of-a-job-ignored",
        promise="No job can hang a run",
        file="batcher/engine/poll.py",
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
        file="batcher/core/rates.py",
        right="        return min(max(self._spent[0] + self.period_s - now, 0.0), self.period_s)\n",
        wrong="        return max(self._spent[0] + self.period_s - now, 0.0)\n",
        red=("tests/core/test_rates.py::test_clock_that_was_set_back_costs_one_period_at_most",),
    ),
    # --- Strangers -----------------------------------------------------------------------------
    Control(
        name="body-not-bounded",
        promise="Hostile answers are bounded and not misread",
        file="batcher/adapters/http/transport.py",
        right="            if len(content) > self._body_bytes_max:\n",
        wrong="            if len(content) > 100 * self._body_bytes_max:\n",
        red=(FOUND + "test_an_answer_is_bounded",),
    ),
    Control(
        name="manifest-read-whole",
        promise="Memory is flat",
        file="batcher/adapters/manifest.py",
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
        file="batcher/adapters/http/transport.py",
        right="    return not poll.poll(0)\n",
        wrong="    return True\n",
        red=(HTTP + "test_connection_closed_while_idle_is_not_reused",),
    ),
    Control(
        name="redirect-followed-with-the-key",
        promise="The key goes nowhere else",
        file="batcher/adapters/http/transport.py",
        right="            allow_redirects=False,\n",
        wrong="            allow_redirects=True,\n",
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
        file="batcher/adapters/http/transport.py",
        right='        body = body.replace(spelling.encode(), b"***")\n',
        wrong="        pass\n",
        red=(HTTP + "test_an_echoed_key_is_not_passed_on",),
    ),
    Control(
        name="key-over-plain-http",
        promise="The key goes nowhere else",
        file="batcher/adapters/http/transport.py",
        right='    if url.scheme == "http" and not _is_loopback(host):\n',
        wrong='    if url.scheme == "ftp":\n',
        red=(HTTP + "test_unsafe_base_url_is_refused",),
    ),
    Control(
        name="tls-not-verified",
        promise="TLS is verified",
        file="batcher/adapters/http/transport.py",
        right="            connector=_Connector(limit=",
        wrong="            connector=_Connector(ssl=False, limit=",
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
        file="batcher/adapters/download_file.py",
        right="_READ = os.O_RDONLY | os.O_NOFOLLOW |",
        wrong="_READ = os.O_RDONLY |",
        red=("tests/adapters/test_download.py::test_planted_links_are_not_followed",),
    ),
)
