"""The contact sheet opens only what is the run's and what is small enough, and fails never."""

from __future__ import annotations

import io
from base64 import b64decode
from pathlib import Path
from random import Random
from typing import Any

import pytest

from batcher.report.page import thumbs
from batcher.report.page.facts import Pictures
from batcher.report.page.thumbs import (
    SHOWN_MAX,
    SIDE_PX,
    TEXT_CHARS_MAX,
    contact_sheet,
    link_to,
)
from tests.support import pictures


def pillow() -> Any:
    """Return Pillow's images, or skip: the extra `image` is not installed."""
    return pytest.importorskip("PIL.Image", reason="the extra `image` (Pillow) is not installed")


def sheet(run: Path, *paths: str, folders: tuple[Path, ...] = ()) -> Pictures:
    """Return the contact sheet of some files."""
    samples = [(path, path) for path in paths]
    return contact_sheet(
        samples,
        files=len(samples),
        folders=[run, *folders],
        page=run / "report.html",
        tell=lambda text, chars: str(text)[:chars],
    )


def draw(path: Path, size: tuple[int, int] = (640, 480), mode: str = "RGB") -> None:
    """Write a picture of noise, which is hard to make small."""
    images = pillow()
    images.effect_noise(size, 90).convert(mode).save(path)


def test_without_downloads_there_is_nothing_to_show(tmp_path: Path) -> None:
    """Nor is Pillow asked for."""
    assert sheet(tmp_path) == Pictures()


def test_without_pillow_the_page_says_how(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line, with what to type."""
    monkeypatch.setattr(thumbs, "find_spec", lambda name: None)
    assert "pip install 'batcher[image]'" in sheet(tmp_path, "a.png").note


@pytest.mark.parametrize(
    ("name", "href"),
    [
        ("downloads/a b.png", "./downloads/a%20b.png"),
        ("javascript:alert(1)", "./javascript%3Aalert%281%29"),
        ('"><script>.png', "./%22%3E%3Cscript%3E.png"),
        ("../other/x.png", "./../other/x.png"),
    ],
)
def test_a_link_is_a_relative_address(tmp_path: Path, name: str, href: str) -> None:
    """No file's name is taken for a scheme, a host or markup."""
    assert link_to(tmp_path / name, tmp_path / "report.html") == href


def test_thumbnails_are_small(tmp_path: Path) -> None:
    """At most so many, so wide and so long together, whatever the pictures are."""
    names = [f"{n}.png" for n in range(SHOWN_MAX + 6)]
    for name in names:
        draw(tmp_path / name)

    found = sheet(tmp_path, *names)
    assert len(found.shown) == SHOWN_MAX
    assert sum(len(picture.source) for picture in found.shown) <= TEXT_CHARS_MAX
    for picture in found.shown:
        data = b64decode(picture.source.partition("base64,")[2])
        with pillow().open(io.BytesIO(data)) as image:
            assert image.format == "WEBP"
            assert image.size == (picture.width, picture.height) == (SIDE_PX, 150)


def test_one_picture_does_not_take_the_room_of_the_others(tmp_path: Path) -> None:
    """What cannot be made small by any loss of quality is left out."""
    noise = Random(1).randbytes(160_000)
    pillow().frombytes("RGBA", (200, 200), noise).save(tmp_path / "noise.png")
    draw(tmp_path / "good.png")
    assert [p.row_id for p in sheet(tmp_path, "noise.png", "good.png").shown] == ["good.png"]


def test_what_is_transparent_stays_so(tmp_path: Path) -> None:
    """A clipping is shown as one."""
    pillow().new("RGBA", (300, 300), (9, 9, 9, 0)).save(tmp_path / "a.png")
    (shown,) = sheet(tmp_path, "a.png").shown
    data = b64decode(shown.source.partition("base64,")[2])
    with pillow().open(io.BytesIO(data)) as image:
        assert image.convert("RGBA").getpixel((50, 50))[3] == 0


def test_files_elsewhere_are_not_opened(tmp_path: Path) -> None:
    """Neither by a path that leads out, nor by a link that was planted, nor by an absolute path."""
    run, outside, chosen = (tmp_path / name for name in ("run", "outside", "chosen"))
    for folder in (run, outside, chosen):
        folder.mkdir()
        draw(folder / "x.png")

    (run / "link.png").symlink_to(outside / "x.png")
    paths = ("../outside/x.png", "link.png", str(outside / "x.png"), "a\0b.png", "none.png")
    assert sheet(run, *paths).shown == ()
    assert len(sheet(run, "x.png", str(chosen / "x.png"), folders=(chosen,)).shown) == 2


def test_hostile_pictures_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Too many pixels, cut off, of another kind, or no picture at all: no error, and not shown."""
    monkeypatch.setattr(thumbs, "PIXELS_MAX", 640 * 480)
    for name, size in (("good.png", (640, 480)), ("large.png", (641, 480))):
        draw(tmp_path / name, size)

    (tmp_path / "bomb.png").write_bytes(pictures.png(60_000, 60_000))
    (tmp_path / "cut.png").write_bytes((tmp_path / "good.png").read_bytes()[:5_000])
    (tmp_path / "html.png").write_bytes(b"<html><script>alert(1)</script>")
    (tmp_path / "kind.png").write_bytes(pictures.bmp())
    (tmp_path / "empty.png").write_bytes(b"")
    names = ("large.png", "bomb.png", "cut.png", "html.png", "kind.png", "empty.png", "good.png")
    assert [picture.row_id for picture in sheet(tmp_path, *names).shown] == ["good.png"]
    assert "No result file could be shown" in sheet(tmp_path, "bomb.png").note
