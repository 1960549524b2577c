"""The manifest: every line becomes an entry, in any format, and none is lost or made up."""

from __future__ import annotations

import csv
import errno
import gzip
import io
import os
import random
import tracemalloc
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batcher.adapters.manifest import count_rows, open_manifest
from batcher.core.errors import UsageError
from batcher.core.journal import Entry
from batcher.core.lifecycle import State
from batcher.core.model import ErrorKind, LocalFile, Row, RowError, Ticket
from batcher.core.record import outcome_record
from batcher.core.settings import LINE_BYTES_MAX, RAW_CHARS_MAX
from tests.support import pictures


class Check:
    """Knows one number parameter, `n`, and one value that is wrong."""

    def typed(self, values: Mapping[str, str]) -> Mapping[str, object]:
        """Turn `n` into a number."""
        return {key: int(value) if key == "n" else value for key, value in values.items()}

    def fault(self, values: Mapping[str, object], files: Sequence[LocalFile]) -> RowError | None:
        """Refuse `mode: wrong`."""
        if values.get("mode") == "wrong":
            return RowError(ErrorKind.INVALID_ROW, "mode: wrong")

        return None


def write(folder: Path, content: bytes, name: str = "m.jsonl") -> str:
    """Write a manifest and return its name."""
    path = folder / name
    path.write_bytes(content)
    return str(path)


def read(source: str, limit: int | None = None) -> list[Entry]:
    """Read a whole manifest."""
    return list(open_manifest(source).entries(Check(), limit=limit))


def read_bytes(content: bytes) -> list[Entry]:
    """Read a manifest from standard input."""
    stdin = io.BufferedReader(io.BytesIO(content))
    return list(open_manifest("-", stdin=stdin).entries(Check()))


def values(entry: Entry) -> Any:
    """Return what the body of an entry says."""
    return orjson.loads(entry.body)


def problem(entry: Entry) -> str:
    """Return what is wrong with an entry; it must be something."""
    assert entry.problem is not None
    assert entry.problem.kind is ErrorKind.INVALID_ROW
    return entry.problem.message


# --- JSON lines ------------------------------------------------------------------------------


def test_lines_are_physical_and_blank_ones_are_skipped(tmp_path: Path) -> None:
    """Byte order mark, CRLF and blank lines are no part of a row, but count as lines."""
    text = b'\xef\xbb\xbf\r\n{"id":"a","x": 1 }\r\n\n   \n\t{"id":"b"}'
    entries = read(write(tmp_path, text))
    assert [(entry.line, entry.id, entry.derived) for entry in entries] == [
        (2, "a", False),
        (5, "b", False),
    ]
    assert entries[0].body == b'{"id":"a","x": 1 }'
    assert entries[0].problem is None


def test_a_body_is_one_line_for_every_reader(tmp_path: Path) -> None:
    """A carriage return between tokens would end the line for some; it means a blank."""
    entry = read(write(tmp_path, b'{"id":"a",\r"x":"\\r"}\n'))[0]
    assert entry.body == b'{"id":"a", "x":"\\r"}'


def test_duplicate_keys_let_the_last_win(tmp_path: Path) -> None:
    """As every JSON reader does; the id is that of the last one too."""
    assert read(write(tmp_path, b'{"id":"a","id":"b"}\n'))[0].id == "b"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (b'{"id":"a"', "not JSON"),
        (b'{"id":"a"} {"id":"b"}', "not JSON"),
        (b'{"n":NaN}', "not JSON"),
        (b'{"n":1e999}', "not JSON"),
        (b'{"t":"\xff"}', "is not UTF-8; save the file as UTF-8"),
        (b'{"t":"caf\xe9"}', "is not UTF-8; save the file as UTF-8"),
        (b'{"t":"\\ud800"}', "not JSON"),
        (b"[1]", "not an object"),
        (b'"text"', "not an object"),
        (b"null", "not an object"),
        (b'{"a":' + b"[" * 300 + b"]" * 300 + b"}", "nested too deeply"),
        (b'{"id":1.5,"a":' + b"[" * 1020 + b"]" * 1020 + b"}", "nested too deeply"),
        (b"[" * 5000 + b"]" * 5000, "not JSON"),
        (b'{"v":1,"outcome":"failed","row":[]}', "`row` is not an object"),
        (
            b'{"v":1,"outcome":"failed","row":{},"x":' + b"[" * 1000 + b"]" * 1000 + b"}",
            "nested too deeply",
        ),
    ],
)
def test_a_line_that_cannot_be_read_is_an_entry(tmp_path: Path, line: bytes, told: str) -> None:
    """It keeps its beginning, says its line and the reason, and the lines around it are read."""
    entries = read(write(tmp_path, b'{"id":"before"}\n' + line + b'\n{"id":"after"}\n'))
    assert [entry.id for entry in entries[::2]] == ["before", "after"]
    assert [entry.problem for entry in entries[::2]] == [None, None]
    bad = entries[1]
    assert problem(bad).startswith("line 2 ")
    assert told in problem(bad)
    assert bad.body == b"null"
    assert bad.raw == line.decode("utf-8", "replace")[:RAW_CHARS_MAX]
    assert bad.id.startswith("row-")
    assert bad.derived


def test_a_torn_last_line_is_told_apart(tmp_path: Path) -> None:
    """A writer that is not done looks like a broken line; only the last one can be torn."""
    entries = read(write(tmp_path, b'{"id":"a"}\n{"id":"b\n{"id":"c'))
    assert "is not JSON" in problem(entries[1])
    assert problem(entries[2]).startswith("line 3 is incomplete")
    assert "still being written" in problem(entries[2])
    assert read(write(tmp_path, b'{"id":"a"}'))[0].problem is None


def test_a_line_torn_within_a_character_is_torn(tmp_path: Path) -> None:
    """A last line whose last character is half there is incomplete; with a wrong one it is not."""
    (torn,) = read(write(tmp_path, '{"id":"café'.encode()[:-1]))
    (latin,) = read(write(tmp_path, '{"id":"café"}'.encode("latin-1")))
    assert problem(torn).startswith("line 1 is incomplete")
    assert problem(latin) == "line 1 is not UTF-8; save the file as UTF-8"


def test_the_id_of_an_unreadable_line_is_of_its_bytes(tmp_path: Path) -> None:
    """The same broken line has the same id on a resume; another one, or a mended one, has not."""
    ids = [entry.id for entry in read(write(tmp_path, b'{"a\n  {"a \n{"b\n{"a":1}\n'))]
    assert ids[0] == ids[1]
    assert len(set(ids)) == 3


@pytest.mark.parametrize("over", [0, 1, 2, 200_000])
def test_a_line_is_bounded(tmp_path: Path, over: int) -> None:
    """A line at the limit is read, a longer one is reported, and the one behind it is whole."""
    frame = b'{"id":"long","t":""}'
    line = frame[:-2] + b"x" * (LINE_BYTES_MAX - len(frame) + over) + frame[-2:]
    for end in (b'\n{"id":"after"}\n', b""):
        entries = read(write(tmp_path, line + end))
        assert [entry.id for entry in entries[1:]] == ["after"] * bool(end)
        if over:
            assert "longer than 4,194,304 bytes" in problem(entries[0])
            assert entries[0].raw == line[:RAW_CHARS_MAX].decode()
        else:
            assert entries[0].problem is None


def test_two_long_lines_that_begin_alike_have_two_ids(tmp_path: Path) -> None:
    """The digest is of the whole line, though only its beginning is kept."""
    long = b"x" * (LINE_BYTES_MAX + 10)
    entries = read(write(tmp_path, long + b"1\n" + long + b"2\n" + long + b"1\n"))
    assert entries[0].id == entries[2].id != entries[1].id


# --- Ids and digests -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "row_id"),
    [
        (b'"sku 1"', "sku 1"),
        (b"7", "7"),
        (b"-7", "-7"),
        (b"1.50", "1.50"),
        (b"123456789012345678901234567890", "123456789012345678901234567890"),
        (b'"' + b"x" * 512 + b'"', "x" * 512),
        ('"größe"'.encode(), "größe"),
    ],
)
def test_an_id_is_a_text_or_a_number(tmp_path: Path, text: bytes, row_id: str) -> None:
    """A number is taken as it is written, so that no two of them become one."""
    entry = read(write(tmp_path, b'{"x":1, "id":' + text + b"}"))[0]
    assert (entry.id, entry.derived, entry.problem) == (row_id, False, None)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"true", "text or a number"),
        (b"null", "text or a number"),
        (b"[1]", "text or a number"),
        (b'{"a":1}', "text or a number"),
        (b'""', "empty"),
        (b'"  "', "empty"),
        (b'"a\\nb"', "control"),
        (b'"a\\u0000"', "control"),
        (b'"a\\u0085"', "control"),
        (b'"' + b"x" * 513 + b'"', "longer than 512"),
    ],
)
def test_any_other_id_is_invalid(tmp_path: Path, text: bytes, told: str) -> None:
    """The row keeps its content, gets a derived id, and says its line and what is wrong."""
    entry = read(write(tmp_path, b'{"x":1,"id":' + text + b"}"))[0]
    assert told in problem(entry)
    assert problem(entry).startswith("line 1: id ")
    assert entry.derived
    assert entry.id.startswith("row-")
    assert values(entry)["x"] == 1


plain = st.text(st.characters(codec="utf-8"))
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | plain,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(plain, inner, max_size=3),
    max_leaves=8,
)
ordinary_keys = plain.filter(lambda key: key not in ("id", "file", "mode", "v"))
rows = st.dictionaries(ordinary_keys, json_values, max_size=5)


def shuffled(value: Any, rng: random.Random) -> Any:
    """Return the same content with its keys in another order, at every depth."""
    if isinstance(value, list):
        return [shuffled(item, rng) for item in value]

    if isinstance(value, dict):
        keys = sorted(value, key=lambda _: rng.random())
        return {key: shuffled(value[key], rng) for key in keys}

    return value


@given(row=rows, seed=st.integers())
def test_a_derived_id_is_of_the_content_alone(row: dict[str, Any], seed: int) -> None:
    """Neither the order of keys nor blanks nor the place in the manifest change id or digest."""
    other = shuffled(row, random.Random(seed))
    first = orjson.dumps(row)
    second = orjson.dumps(other, option=orjson.OPT_INDENT_2).replace(b"\n", b" ")
    entries = read_bytes(first + b"\n\n" + second + b'\n{"id":"own",' + first[1:])
    one, two = entries[:2]
    assert one.derived
    assert (one.id, one.digest) == (two.id, two.digest)
    assert len(one.digest) == 16
    if row:
        assert entries[2].digest == one.digest
        assert entries[2].id == "own"


@given(row=rows, key=ordinary_keys, value=json_values)
def test_another_content_is_another_row(row: dict[str, Any], key: str, value: Any) -> None:
    """One more value, at any key, is another id and another digest."""
    one, two = read_bytes(orjson.dumps(row) + b"\n" + orjson.dumps({**row, key: value}))
    is_same = orjson.dumps(row) == orjson.dumps({**row, key: value})
    assert (one.id == two.id) is is_same
    assert (one.digest == two.digest) is is_same


# --- Records as rows -------------------------------------------------------------------------


def as_record(entry: Entry, state: State = State.EXHAUSTED) -> bytes:
    """Return the outcome record of an entry."""
    ticket = Ticket(Row(1, entry.id, entry.line, entry.body, entry.base))
    return outcome_record(
        ticket, state, provider="removit", at=1.8e9, error=entry.problem, raw=entry.raw
    )


@given(row=rows, own_id=st.none() | st.integers() | plain)
def test_a_record_is_the_row_that_it_came_from(row: dict[str, Any], own_id: object) -> None:
    """Through a record and back: id, body and digest are the same, and so for ever."""
    if own_id is not None:
        row = {**row, "id": own_id if isinstance(own_id, str) else str(own_id)}

    entry = read_bytes(orjson.dumps(row))[0]
    for _ in range(2):
        back = read_bytes(as_record(entry) + b"\n")[0]
        assert (back.id, back.body, back.digest) == (entry.id, entry.body, entry.digest)
        entry = back


@given(
    line=st.binary(max_size=60).filter(lambda b: b.strip() and b"\n" not in b and b"\r" not in b)
)
def test_any_bytes_become_a_record_that_reads_back(line: bytes) -> None:
    """Whatever stands in a line, its record is valid JSON, and reading it gives the same id."""
    for entry in read_bytes(b'{"id":"first"}\n' + line)[1:]:
        record = as_record(entry)
        orjson.loads(record)
        back = read_bytes(record)[0]
        assert back.id == entry.id
        assert (back.problem is None) == (entry.problem is None)


def test_a_record_finds_its_file_again(tmp_path: Path) -> None:
    """A relative file of a record is looked for where the first manifest was."""
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(b"12345")
    entry = read(write(tmp_path / "in", b'{"file":"a.png"}'))[0]
    assert entry.base == str(tmp_path / "in")
    back = read(write(tmp_path / "out", as_record(entry)))[0]
    assert back.base == entry.base
    assert back.files == entry.files == (LocalFile(str(tmp_path / "in" / "a.png"), 5),)


def test_a_row_that_only_looks_a_bit_like_a_record_is_a_row(tmp_path: Path) -> None:
    """All three marks make a record; a column named `row` does not."""
    entry = read(write(tmp_path, b'{"id":"a","row":{"id":"b"},"v":1}'))[0]
    assert entry.id == "a"


# --- Files of rows ---------------------------------------------------------------------------


def test_a_local_file_is_found_and_measured(tmp_path: Path) -> None:
    """Relative to the manifest or absolute; `base` is kept for the relative one only."""
    (tmp_path / "a.png").write_bytes(b"123")
    absolute = orjson.dumps({"file": str(tmp_path / "a.png")})
    lines = b'{"file":"a.png"}\n' + absolute + b'\n{"file":null}\n{"x":1}'
    relative, there, null, none = read(write(tmp_path, lines))
    assert relative.files == there.files == (LocalFile(str(tmp_path / "a.png"), 3),)
    assert (relative.base, there.base) == (str(tmp_path), None)
    assert (null.files, none.files, null.base) == ((), (), None)
    assert [entry.problem for entry in (relative, there, null, none)] == [None] * 4


def test_several_files_of_a_row_are_found_in_their_order(tmp_path: Path) -> None:
    """A list of paths is looked up like one path, and is content like any other value."""
    for number, name in enumerate(("b.png", "a.png"), 1):
        (tmp_path / name).write_bytes(b"x" * number)

    there = str(tmp_path / "a.png")
    lines = [{"file": ["b.png", there]}, {"file": [there, "b.png"]}, {"file": [there]}]
    both, turned, absolute = read(write(tmp_path, b"\n".join(map(orjson.dumps, lines))))
    assert [file.size_bytes for file in both.files] == [1, 2]
    assert [file.size_bytes for file in turned.files] == [2, 1]
    assert [file.path for file in both.files] == [str(tmp_path / "b.png"), there]
    assert (both.base, turned.base, absolute.base) == (str(tmp_path), str(tmp_path), None)
    assert len({entry.digest for entry in (both, turned, absolute)}) == 3
    assert [entry.problem for entry in (both, turned, absolute)] == [None] * 3


def test_a_table_spells_several_files_as_json(tmp_path: Path) -> None:
    """The cell is the list that JSON lines would have; a path with a bracket stays a path."""
    for name in ("a.png", "b.png", "[1].png"):
        (tmp_path / name).touch()

    text = b'id,file\n1,"[""a.png"", ""b.png""]"\n2,[1].png\n3,[]\n4,"[""a.png"", 7]"\n'
    several, bracket, *others = read(write(tmp_path, text, "m.csv"))
    assert values(several) == {"id": "1", "file": ["a.png", "b.png"]}
    assert [Path(file.path).name for file in several.files] == ["a.png", "b.png"]
    assert [Path(file.path).name for file in bracket.files] == ["[1].png"]
    assert [problem(entry).count("does not exist") for entry in others] == [1, 1]
    lines = read(write(tmp_path, b'{"id":"1","file":["a.png","b.png"]}'))[0]
    assert lines.digest == several.digest


def test_a_record_finds_its_several_files_again(tmp_path: Path) -> None:
    """Also where only one of them is relative."""
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    for name in ("a.png", "b.png"):
        (tmp_path / "in" / name).write_bytes(name.encode())

    row = {"file": [str(tmp_path / "in" / "a.png"), "b.png"]}
    entry = read(write(tmp_path / "in", orjson.dumps(row)))[0]
    back = read(write(tmp_path / "out", as_record(entry)))[0]
    assert back.base == entry.base == str(tmp_path / "in")
    assert back.files == entry.files
    assert (len(back.files), back.problem) == (2, None)


def test_pixels_are_read_from_the_header(tmp_path: Path) -> None:
    """Whatever the file is called; what is no picture has none, and is a file all the same."""
    contents = {
        "a.png": pictures.png(640, 480),
        "b.png": pictures.jpeg(1_000, 700, headers=3),
        "c.webp": pictures.webp(30, 40),
        "d.gif": pictures.gif(30, 41),
        "e.bmp": pictures.bmp(30, 42),
        "f.png": b"no picture",
        "g.png": b"",
        "h.psd": pictures.psd(),
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)

    row = orjson.dumps({"file": list(contents)})
    entry = read(write(tmp_path, row))[0]
    pixels = [file.pixels for file in entry.files]
    assert pixels == [(640, 480), (1_000, 700), (30, 40), (30, 41), (30, 42), None, None, None]
    assert [file.size_bytes for file in entry.files] == [len(c) for c in contents.values()]


def test_a_header_costs_no_descriptor_and_needs_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No descriptor stays open; and if there is none left, only the pixels are not known."""
    (tmp_path / "a.png").write_bytes(pictures.png())
    source = write(tmp_path, b'{"file":"a.png"}')
    manifest = open_manifest(source)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        assert next(manifest.entries(Check())).files[0].pixels == (3, 2)

    assert len(list(Path("/proc/self/fd").iterdir())) == before

    def none_left(*_: object) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    entries = manifest.entries(Check())
    monkeypatch.setattr(os, "open", none_left)
    entry = next(entries)
    assert (entry.files[0].pixels, entry.problem) == (None, None)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        (b'["m.jsonl","no.png"]', "does not exist"),
        (b'["m.jsonl",7]', "must be a path"),
        (b'["m.jsonl",null]', "must be a path"),
        (b'["m.jsonl",["m.jsonl"]]', "must be a path"),
        (b"[]", "names 0 files"),
        (b"[" + b'"m.jsonl",' * 100 + b'"m.jsonl"]', "names 101 files"),
        (b'{"a":1}', "must be a path"),
        (b'"no.png"', "does not exist"),
        (b'"m.jsonl/no.png"', "does not exist"),
        (b'"folder"', "not a regular file"),
        (b'"pipe"', "not a regular file"),
        (b'"secret"', "permission"),
        (b'""', "must be a path"),
        (b"7", "must be a path"),
        (b'"a\\u0000"', "must be a path"),
        (b'"' + b"x" * 300 + b'"', "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_sent_is_an_invalid_row(
    tmp_path: Path, name: bytes, told: str
) -> None:
    """Missing, a folder, a pipe, unreadable or no path at all: told before anything is sent."""
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "secret").touch(0o000)
    if told == "permission" and os.access(tmp_path / "secret", os.R_OK):
        pytest.skip("the superuser may read everything")

    entry = read(write(tmp_path, b'{"id":"a","file":' + name + b"}"))[0]
    assert told in problem(entry)
    assert (entry.id, entry.files) == ("a", ())


def test_what_the_provider_objects_to_is_a_problem(tmp_path: Path) -> None:
    """The check sees the values and its word is kept."""
    entry = read(write(tmp_path, b'{"id":"a","mode":"wrong"}'))[0]
    assert problem(entry) == "mode: wrong"


# --- CSV -------------------------------------------------------------------------------------


def test_a_table_as_a_shop_exports_it(tmp_path: Path) -> None:
    """Byte order mark, semicolons, CRLF, quotes, line breaks in a cell, spare columns."""
    text = (
        "\ufeffid ;file_url;n;;note\r\n"
        '1;https://h/1.png;12;;"said ""no""; really"\r\n'
        "\r\n"
        '2;https://h/2.png;;spare;"two\r\nlines"\r\n'
        ";;;;;;\r\n"
        "3;https://h/3.png\r\n"
        "4;https://h/4.png;5;;;;\r\n"
    )
    entries = read(write(tmp_path, text.encode(), "m.csv"))
    assert [entry.problem for entry in entries] == [None] * 4
    assert [values(entry) for entry in entries] == [
        {"id": "1", "file_url": "https://h/1.png", "n": 12, "note": 'said "no"; really'},
        {"id": "2", "file_url": "https://h/2.png", "column_4": "spare", "note": "two\r\nlines"},
        {"id": "3", "file_url": "https://h/3.png"},
        {"id": "4", "file_url": "https://h/4.png", "n": 5},
    ]
    assert [entry.line for entry in entries] == [1, 2, 4, 5]


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_the_separator_is_found_in_the_header(tmp_path: Path, mark: str) -> None:
    """What the header has most of, outside its quotes, separates."""
    noise = "".join(other * 4 for other in ",;\t" if other != mark)
    text = f'id{mark}"a{noise}b"{mark}c\n1{mark}2{mark}"3,;\t4"\n'
    entry = read(write(tmp_path, text.encode(), "m.tsv" if mark == "\t" else "m.csv"))[0]
    assert values(entry) == {"id": "1", f"a{noise}b": "2", "c": "3,;\t4"}


def test_a_table_gives_the_ids_that_json_gives(tmp_path: Path) -> None:
    """The same row has the same derived id in both formats: typed cells, no empty ones."""
    table = read(write(tmp_path, b"n,t,u\n7,x,\n", "m.csv"))[0]
    lines = read(write(tmp_path, b'{"t":"x","n":7}'))[0]
    assert (table.id, table.digest) == (lines.id, lines.digest)


@pytest.mark.parametrize(
    ("record", "told"),
    [
        (b"2,u,x,y", "4 cells, but the header has 3"),
        (b'2,"a"b,x', "not CSV"),
        (b"2,caf\xe9,x", "not UTF-8"),
        (b"2,u,12345678901234567890123", "too large"),
        (b"2,u," + b"9" * (LINE_BYTES_MAX + 1), "longer than"),
    ],
)
def test_a_bad_record_is_an_entry(tmp_path: Path, record: bytes, told: str) -> None:
    """It is reported with its number and its text; the records around it are read."""
    text = b"id,u,n\n1,u,1\n" + record + b"\n3,u,3\n"
    entries = read(write(tmp_path, text, "m.csv"))
    assert [(entry.id, entry.problem) for entry in entries[::2]] == [("1", None), ("3", None)]
    assert told in problem(entries[1])
    assert entries[1].line == 2
    assert entries[1].body == b"null"
    assert (entries[1].raw or "")[:2] in ("2,", "{'")


def test_an_open_quote_makes_no_row_out_of_others(tmp_path: Path) -> None:
    """What stands behind it is held together and reported, and nothing of it is ever sent."""
    text = b'id,t\n1,a\n2,"open\n3,c\n4,d\n'
    one, bad = read(write(tmp_path, text, "m.csv"))
    assert one.id == "1"
    assert "spans 3 lines; is a quote missing?" in problem(bad)
    assert bad.raw == '2,"open\n3,c\n4,d'

    text = b'id,t\n1,a\n2,"open\n3,c\n4,"d"\n5,e\n'
    assert [entry.id for entry in read(write(tmp_path, text, "m.csv")) if not entry.problem] == [
        "1",
        "5",
    ]


def test_a_quote_that_never_ends_is_bounded(tmp_path: Path) -> None:
    """The record is given up at the limit, and reading goes on behind it."""
    text = b'id,t\n1,"' + b"x\n" * (LINE_BYTES_MAX // 2 + 10) + b"last,row\n"
    first, *others = read(write(tmp_path, text, "m.csv"))
    assert csv.field_size_limit() == 131_072  # Python's own: it belongs to the whole process
    assert "longer than" in problem(first)
    assert len(first.raw or "") <= RAW_CHARS_MAX
    assert others[-1].id == "last"


@pytest.mark.parametrize(
    ("header", "told"),
    [
        (b"id,a,a", "two columns are named 'a'"),
        (b"https://h/1.png", "must name the columns"),
        (b"id,caf\xe9", "not UTF-8"),
        (b'id,"open', "not CSV"),
        ("\ufeffid,a".encode("utf-16-le"), "UTF-16"),
    ],
)
def test_a_table_without_a_usable_header_is_refused(
    tmp_path: Path, header: bytes, told: str
) -> None:
    """Nothing can be read then: one line, with the file and how to mend it."""
    with pytest.raises(UsageError, match=told) as caught:
        read(write(tmp_path, header + b"\n1,2\n", "m.csv"))

    assert "m.csv" in str(caught.value)


# --- Where manifests come from ---------------------------------------------------------------


@pytest.mark.parametrize("content", [b"", b"\n \r\n", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("name", ["m.csv", "m.jsonl", "m.txt", "m"])
def test_an_empty_manifest_is_empty(tmp_path: Path, content: bytes, name: str) -> None:
    """No rows is no error."""
    assert read(write(tmp_path, content, name)) == []
    assert read(write(tmp_path, content + b"id,file_url\n", "m.csv")) == []


def test_standard_input_tells_its_format_by_itself() -> None:
    """It begins with `{` or it is a table; relative files are found from the working directory."""
    assert [entry.id for entry in read_bytes(b'\n  {"id":"a"}\n{"id":"b"}')] == ["a", "b"]
    assert [entry.id for entry in read_bytes(b"id;n\na;1\nb;2\n")] == ["a", "b"]
    assert [entry.id for entry in read_bytes(gzip.compress(b'{"id":"a"}\n'))] == ["a"]
    assert open_manifest("-", stdin=io.BytesIO()).base == str(Path.cwd())


def test_a_list_of_addresses_and_paths(tmp_path: Path) -> None:
    """A plain text file has one of either a line."""
    (tmp_path / "a.png").touch()
    entries = read(write(tmp_path, b"https://h/1.png\n\na.png\r\nno.png\n\xff\n", "m.txt"))
    assert [values(entry) for entry in entries] == [
        {"file_url": "https://h/1.png"},
        {"file": "a.png"},
        {"file": "no.png"},
        None,
    ]
    assert [entry.problem is None for entry in entries] == [True, True, False, False]


@pytest.mark.parametrize("name", ["m.jsonl.gz", "m.jsonl"])
def test_compressed_manifests_are_read_by_content_or_name(tmp_path: Path, name: str) -> None:
    """The format is that of the name without `.gz`; several gzip members are one manifest."""
    text = gzip.compress(b'{"id":"a"}\n') + gzip.compress(b'{"id":"b"}\n')
    assert [entry.id for entry in read(write(tmp_path, text, name))] == ["a", "b"]
    table = gzip.compress(b"id,n\na,1\n")
    assert [entry.id for entry in read(write(tmp_path, table, "m.csv.gz"))] == ["a"]


def damaged(text: bytes) -> bytes:
    """Return gzip data with a flipped bit in its checksum."""
    return text[:-6] + bytes([text[-6] ^ 1]) + text[-5:]


@pytest.mark.parametrize("damage", [lambda text: text[:-20], damaged, lambda text: text + b"junk"])
def test_a_damaged_archive_ends_the_run_with_its_line(tmp_path: Path, damage: Any) -> None:
    """Rows may be missing behind it, so it is told, with file and line, and not passed over."""
    text = b"".join(b'{"id":"%d"}\n' % n for n in range(1_000))
    source = write(tmp_path, damage(gzip.compress(text)), "m.jsonl.gz")
    with pytest.raises(UsageError, match=r"m\.jsonl\.gz: cannot be read after line \d+: "):
        read(source)


def test_what_is_no_archive_is_told(tmp_path: Path) -> None:
    """A file that only has the name of one is not read as something else."""
    with pytest.raises(UsageError, match="gz"):
        read(write(tmp_path, b'{"id":"a"}\n', "m.jsonl.gz"))


@pytest.mark.parametrize("source", ["no-such-file.jsonl", "m.jsonl/below", "nul\0.csv", "x" * 300])
def test_a_manifest_that_is_not_there_is_told_at_once(tmp_path: Path, source: str) -> None:
    """Before anything is read: one line with its name."""
    write(tmp_path, b"{}")
    with pytest.raises(UsageError, match="cannot be read"):
        open_manifest(f"{tmp_path}/{source}")


@pytest.mark.parametrize("name", ["m.jsonl", "m.CSV", "m.txt", "m.jsonl.gz"])
def test_a_folder_in_the_place_of_a_file_is_refused(tmp_path: Path, name: str) -> None:
    """Its images would be taken for rows, and paid for, by a run that goes on."""
    (tmp_path / name).mkdir()
    (tmp_path / name / "a.png").touch()
    with pytest.raises(UsageError, match="is a folder"):
        open_manifest(str(tmp_path / name))


def test_a_file_that_becomes_a_folder_is_told(tmp_path: Path) -> None:
    """Between finding and reading it."""
    source = write(tmp_path, b'{"id":"a"}')
    manifest = open_manifest(source)
    Path(source).unlink()
    Path(source).mkdir()
    with pytest.raises(UsageError, match="cannot be read after line 0: Is a directory"):
        list(manifest.entries(Check()))


def test_a_limit_is_the_first_rows_good_or_bad(tmp_path: Path) -> None:
    """Blank lines are no rows; unreadable ones are."""
    source = write(tmp_path, b'{"id":"a"}\n\n{"b\n{"id":"c"}\n')
    assert [entry.line for entry in read(source, limit=2)] == [1, 3]
    assert read(source, limit=0) == []
    assert len(read(source)) == 3


# --- Folders ---------------------------------------------------------------------------------


def folder_of(root: Path, *names: str) -> str:
    """Make files with a byte in each."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")

    return str(root)


def test_a_folder_is_its_images_in_a_stable_order(tmp_path: Path) -> None:
    """Recursive, sorted, without hidden and other files; the path is `file` and `id`."""
    images = ["a.jpg", "a.png", "b.PNG", *(f"{letter}/{letter}.webp" for letter in "aefhkqsz")]
    others = ["a/.h.png", ".h/y.png", "notes.txt", "c", "png"]
    source = folder_of(tmp_path, *reversed(images), *others)
    (tmp_path / "loop").symlink_to(tmp_path)
    entries = read(source)
    assert [entry.id for entry in entries] == images
    assert [values(entry) for entry in entries] == [{"file": name} for name in images]
    assert [entry.line for entry in entries] == list(range(1, len(images) + 1))
    assert entries[3].files == (LocalFile(f"{tmp_path}/a/a.webp", 1),)
    assert {(entry.base, entry.derived, entry.problem) for entry in entries} == {
        (str(tmp_path), False, None)
    }
    assert read(source + "/") == entries


def test_results_in_a_folder_are_not_its_rows(tmp_path: Path) -> None:
    """Or each resume would pay for what the run before it fetched."""
    source = folder_of(tmp_path, "a.png", "done/a.png", "runs/x/run.toml", "runs/x/downloads/a.png")
    manifest = open_manifest(source, skip=[tmp_path / "sub" / ".." / "done"])
    assert [entry.id for entry in manifest.entries(Check())] == ["a.png"]
    with pytest.raises(UsageError, match="is a run directory"):
        open_manifest(f"{source}/runs/x")


def test_a_name_that_is_not_unicode_is_a_bad_line(tmp_path: Path) -> None:
    """It cannot be sent or recorded as it is, so it is told and not guessed."""
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.png")).touch()
    entry = read(folder_of(tmp_path, "z.png"))[0]
    assert "not UTF-8" in problem(entry)
    assert entry.raw == "caf\ufffd.png"


# --- Size ------------------------------------------------------------------------------------


def test_memory_does_not_grow_with_the_manifest(tmp_path: Path) -> None:
    """Ten times the rows take the same memory."""
    peaks = []
    for count in (2_000, 20_000):
        line = b'{"file_url":"https://images.example.com/%d.png","title":"' + b"t" * 200 + b'"}\n'
        source = write(tmp_path, b"".join(line % n for n in range(count)))
        tracemalloc.start()
        for _ in open_manifest(source).entries(Check()):
            pass

        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()

    assert peaks[1] < peaks[0] * 1.2


@pytest.mark.parametrize(
    ("name", "content", "rows"),
    [
        ("m.jsonl", b"{}\n{}\n", 2),
        ("m.jsonl", b"{}\n{}", 2),
        ("m.csv", b"id\n1\n2\n3", 3),
        ("m.csv", b"", 0),
        ("m.jsonl", b"", 0),
        ("m.jsonl.gz", gzip.compress(b"{}\n", mtime=0), None),
    ],
)
def test_rows_are_counted_without_reading_them(
    tmp_path: Path, name: str, content: bytes, rows: int | None
) -> None:
    """For a progress bar: by newlines, and not at all where that would mean unpacking."""
    assert count_rows(write(tmp_path, content, name)) == rows
    assert count_rows(str(tmp_path)) is None
    assert count_rows("-") is None


def test_a_large_file_is_counted_by_its_beginning(tmp_path: Path) -> None:
    """A file of holes: 200 MiB are judged by the first 64."""
    path = tmp_path / "m.jsonl"
    with path.open("wb") as file:
        file.write(b"{}\n" * 100)
        file.truncate(200 * 1024 * 1024)

    assert count_rows(str(path)) == pytest.approx(312, abs=4)
