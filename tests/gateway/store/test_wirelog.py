"""What a killed process still tells about the messages it had handed to a socket."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gateway.store.wirelog import HEAD, SLOTS, WIDTH, WireLog, boot_id, fingerprint


def test_marks_survive_a_process_that_never_closed_the_file(tmp_path: Path) -> None:
    first = WireLog(tmp_path / "wire", boot="today")
    first.marks_of("operator")("sent1")
    first.marks_of("operator")("sent2")
    second = WireLog(tmp_path / "wire", boot="today")
    assert second.trustworthy
    assert second.was_written("sent1", "operator")
    assert second.was_written("sent2", "operator")
    assert not second.was_written("queued", "operator")


def test_marks_survive_a_second_death_before_recovery_was_through(tmp_path: Path) -> None:
    WireLog(tmp_path / "wire", boot="today").marks_of("operator")("sent1")
    second = WireLog(tmp_path / "wire", boot="today")
    second.marks_of("operator")("sent2")
    third = WireLog(tmp_path / "wire", boot="today")
    assert third.was_written("sent1", "operator")
    assert third.was_written("sent2", "operator")


def test_what_went_to_one_channel_has_not_gone_to_another(tmp_path: Path) -> None:
    """A text that WhatsApp had may wait, unwritten, in the operator's hands when the process dies."""
    WireLog(tmp_path / "wire", boot="today").marks_of("zap")("m1")
    log = WireLog(tmp_path / "wire", boot="today")
    assert log.was_written("m1", "zap") and not log.was_written("m1", "operator")


def test_a_file_of_the_first_builds_rules_nothing_out(tmp_path: Path) -> None:
    head = b"pombo-wire-1 today".ljust(HEAD, b"\0")
    (tmp_path / "wire").write_bytes(head + bytes(SLOTS * WIDTH))
    assert WireLog(tmp_path / "wire", boot="today").was_written("anything", "operator")


def test_a_new_file_cannot_rule_out_anything(tmp_path: Path) -> None:
    log = WireLog(tmp_path / "wire", boot="today")
    assert not log.trustworthy
    assert log.was_written("anything", "operator")


def test_after_a_reboot_nothing_can_be_ruled_out(tmp_path: Path) -> None:
    WireLog(tmp_path / "wire", boot="today").marks_of("operator")("sent1")
    log = WireLog(tmp_path / "wire", boot="tomorrow")
    assert log.was_written("never marked", "operator")


def test_a_file_of_another_size_cannot_be_trusted(tmp_path: Path) -> None:
    (tmp_path / "wire").write_bytes(b"pombo-wire-2 today")
    assert WireLog(tmp_path / "wire", boot="today").was_written("anything", "operator")


def test_what_this_process_writes_is_no_earlier_process_matter(tmp_path: Path) -> None:
    WireLog(tmp_path / "wire", boot="today").close()
    log = WireLog(tmp_path / "wire", boot="today")
    log.marks_of("operator")("now")
    assert not log.was_written("now", "operator")


def test_the_ring_comes_round_and_forgets_the_oldest(tmp_path: Path) -> None:
    log = WireLog(tmp_path / "wire", boot="today")
    for number in range(SLOTS + 2):
        log.marks_of("operator")(f"m{number}")
    after = WireLog(tmp_path / "wire", boot="today")
    assert not after.was_written("m1", "operator")
    assert after.was_written("m2", "operator")
    assert after.was_written(f"m{SLOTS + 1}", "operator")
    assert (tmp_path / "wire").stat().st_size == HEAD + SLOTS * WIDTH


def test_ids_are_compared_up_to_the_width_of_a_slot(tmp_path: Path) -> None:
    long = "x" * (WIDTH + 10)
    WireLog(tmp_path / "wire", boot="today").marks_of("operator")(long)
    assert WireLog(tmp_path / "wire", boot="today").was_written(long, "operator")


def test_the_file_is_for_nobody_else(tmp_path: Path) -> None:
    WireLog(tmp_path / "wire").close()
    assert (tmp_path / "wire").stat().st_mode & 0o777 == 0o600


def test_the_machine_names_its_run() -> None:
    assert boot_id() == boot_id()


def test_fingerprints_tell_contents_apart() -> None:
    assert fingerprint(b"part one") == fingerprint(b"part one")
    assert fingerprint(b"part one") != fingerprint(b"part two")
    assert len(fingerprint(b"")) == 8


OPENS = "import sys; from gateway.store.wirelog import WireLog; WireLog(sys.argv[1])"


def test_a_disk_without_room_for_it_is_an_error_that_names_it_at_the_second_try_too(tmp_path: Path) -> None:
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(tmp_path)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("may not mount a small file system")
    try:
        for _ in range(2):
            opened = subprocess.run(
                [sys.executable, "-c", OPENS, str(tmp_path / "wire")], capture_output=True, text=True
            )
            assert opened.returncode == 1, "it was killed"
            assert opened.stderr.endswith(f"No space left on device: '{tmp_path}/wire'\n")
    finally:
        subprocess.run(["umount", "-l", str(tmp_path)], check=True)
