"""Credentials at rest."""

from __future__ import annotations

import stat
import threading
from pathlib import Path

import pytest

from app.db.vault import KEY_FILE, Vault, open_vault, read_or_make_secret
from app.errors import SecretUnreadable


@pytest.mark.parametrize("text", ["", "rtsp://u:p@h/x", "비밀번호", "x" * 10_000, "\x00"])
def test_what_was_encrypted_comes_back(text: str) -> None:
    vault = Vault(b"a secret of these tests")
    assert vault.decrypt(vault.encrypt(text)) == text


def test_the_same_text_never_looks_the_same_twice() -> None:
    vault = Vault(b"a secret of these tests")
    first, second = vault.encrypt("rtsp://u:p@h/x"), vault.encrypt("rtsp://u:p@h/x")
    assert first != second
    assert b"rtsp" not in first


@pytest.mark.parametrize("data", [b"", b"nonsense", b"gAAAAA" + b"x" * 80])
def test_what_was_not_encrypted_here_is_unreadable(data: bytes) -> None:
    with pytest.raises(SecretUnreadable):
        Vault(b"a secret of these tests").decrypt(data)


def test_another_key_reads_nothing() -> None:
    data = Vault(b"one secret of these tests").encrypt("text")
    with pytest.raises(SecretUnreadable):
        Vault(b"another secret of these tests").decrypt(data)


def test_a_changed_byte_is_noticed() -> None:
    vault = Vault(b"a secret of these tests")
    data = bytearray(vault.encrypt("text"))
    data[len(data) // 2] ^= 1
    with pytest.raises(SecretUnreadable):
        vault.decrypt(bytes(data))


def test_a_fingerprint_is_equal_for_equal_texts_and_keys_only() -> None:
    vault, same, other = Vault(b"secret-1" * 3), Vault(b"secret-1" * 3), Vault(b"secret-2" * 3)
    assert vault.fingerprint("a") == same.fingerprint("a")
    assert vault.fingerprint("a") != vault.fingerprint("b")
    assert vault.fingerprint("a") != other.fingerprint("a")
    assert len(vault.fingerprint("a")) == 64


def test_the_key_file_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    data = open_vault(tmp_path, None).encrypt("text")
    path = tmp_path / KEY_FILE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    key = path.read_text(encoding="utf-8")
    assert len(key.strip()) >= 40
    assert open_vault(tmp_path, None).decrypt(data) == "text"
    assert path.read_text(encoding="utf-8") == key


def test_a_key_file_that_others_could_read_is_closed_again(tmp_path: Path) -> None:
    open_vault(tmp_path, None)
    (tmp_path / KEY_FILE).chmod(0o644)
    open_vault(tmp_path, None)
    assert stat.S_IMODE((tmp_path / KEY_FILE).stat().st_mode) == 0o600


def test_a_key_from_the_environment_leaves_no_file(tmp_path: Path) -> None:
    data = open_vault(tmp_path, "a secret from elsewhere").encrypt("text")
    assert list(tmp_path.iterdir()) == []
    assert open_vault(tmp_path, "a secret from elsewhere").decrypt(data) == "text"


def test_an_empty_key_file_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / KEY_FILE).write_text("\n", encoding="utf-8")
    secret, made = read_or_make_secret(tmp_path / KEY_FILE)
    assert made
    assert len(secret) >= 40
    assert stat.S_IMODE((tmp_path / KEY_FILE).stat().st_mode) == 0o600


def test_two_who_make_the_key_at_once_have_the_same(tmp_path: Path) -> None:
    for number in range(20):
        path = tmp_path / str(number)
        start = threading.Barrier(4)
        made: list[tuple[str, bool]] = []

        def make(
            path: Path = path,
            start: threading.Barrier = start,
            made: list[tuple[str, bool]] = made,
        ) -> None:
            start.wait(30)
            made.append(read_or_make_secret(path))

        threads = [threading.Thread(target=make) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert len({secret for secret, _ in made}) == 1
        assert [fresh for _, fresh in made].count(True) == 1
        assert path.read_text(encoding="utf-8").strip() == made[0][0]
