"""Sources as people name them, and where they may lead."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.errors import AddressNotAllowed, InvalidRequest, RequestError
from app.pipeline.sources.named import source_url


@pytest.fixture
def allowed(tmp_path: Path) -> Path:
    folder = tmp_path / "media"
    folder.mkdir()
    (folder / "a.mp4").write_bytes(b"x")
    (tmp_path / "outside.mp4").write_bytes(b"x")
    (tmp_path / "media-too").mkdir()
    (tmp_path / "media-too" / "b.mp4").write_bytes(b"x")
    return folder


@pytest.mark.parametrize(
    ("named", "url"),
    [
        (0, "webcam:0"),
        ("2", "webcam:2"),
        ("/dev/video1", "webcam:1"),
        ("rtsp://192.0.2.1/x", "rtsp://192.0.2.1/x"),
        ("https://192.0.2.1/x.m3u8?token=1", "https://192.0.2.1/x.m3u8?token=1"),
    ],
)
def test_what_people_write(named: str | int, url: str) -> None:
    assert source_url(named, []) == url


@pytest.mark.parametrize("form", ["{}", "file:{}", "file://{}"])
def test_a_file_below_an_allowed_folder(allowed: Path, form: str) -> None:
    path = allowed / "a.mp4"
    assert source_url(form.format(path), [allowed]) == f"file:{path}"
    (allowed / "link.mp4").symlink_to(path)
    assert source_url(str(allowed / "link.mp4"), [allowed]) == f"file:{path}"


@pytest.mark.parametrize("form", ["{}", "file:{}", "file://{}"])
def test_a_name_alone_is_looked_for_in_every_allowed_folder(
    allowed: Path, form: str, tmp_path: Path
) -> None:
    folders = [tmp_path / "media-too", allowed]
    assert source_url(form.format("a.mp4"), folders) == f"file:{allowed / 'a.mp4'}"
    assert source_url(form.format("b.mp4"), folders) == f"file:{tmp_path / 'media-too' / 'b.mp4'}"
    for elsewhere in ("../outside.mp4", "media/a.mp4", "x" * 300):
        with pytest.raises(InvalidRequest):
            source_url(form.format(elsewhere), folders)


@pytest.mark.parametrize(
    "path",
    [
        "../outside.mp4",
        "../media-too/b.mp4",
        "link.mp4",
        "loop.mp4",
        "none.mp4",
        ".",
        "a.mp4/x",
        "/etc/passwd",
        "\0",
    ],
)
@pytest.mark.parametrize("form", ["{}", "file:{}", "file://{}"])
def test_a_file_that_may_not_be_read(allowed: Path, path: str, form: str) -> None:
    (allowed / "link.mp4").symlink_to(allowed.parent / "outside.mp4")
    (allowed / "loop.mp4").symlink_to(allowed / "loop.mp4")
    with pytest.raises(InvalidRequest):
        source_url(form.format(f"{allowed}/{path}"), [allowed])


def test_nothing_is_told_about_files_outside(allowed: Path) -> None:
    messages = set()
    for name in ("outside.mp4", "nothing.mp4"):
        with pytest.raises(InvalidRequest) as refused:
            source_url(str(allowed.parent / name), [allowed])
        messages.add(str(refused.value))
    assert len(messages) == 1


def test_without_folders_any_file_may_be_read(allowed: Path) -> None:
    outside = allowed.parent / "outside.mp4"
    assert source_url(str(outside)) == f"file:{outside}"


@pytest.mark.parametrize("folders", [None, []])
def test_a_name_that_no_file_can_have(folders: list[Path] | None) -> None:
    with pytest.raises(InvalidRequest):
        source_url("x" * 300, folders)


@pytest.mark.parametrize(
    "named",
    [
        "",
        " ",
        -1,
        64,
        "99",
        "ftp://192.0.2.1/x",
        "gopher://x/y",
        "concat:a|b",
        "rtsp://",
        "http:///x",
        "tcp://192.0.2.1:9",
    ],
)
def test_what_nothing_can_read(named: str | int) -> None:
    with pytest.raises(RequestError):
        source_url(named, [])


@pytest.mark.parametrize(
    "url",
    ["http://169.254.169.254/x", "https://[fe80::1]/x", "http://0.0.0.0/x", "rtsp://224.0.0.1/x"],
)
def test_addresses_that_no_camera_has(url: str) -> None:
    with pytest.raises(AddressNotAllowed):
        source_url(url, [])
