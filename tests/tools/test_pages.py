"""Every command that a page for operators shows is run, in the order of the page, on a machine made for it from the
wheel alone; or the page says before it why not."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tools.documented import ROOT, Block, Machine, blocks

PAGES = ["README.md", *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md"))]
RUN_HERE = {"README.md", *(f"docs/{name}.md" for name in (
    "first-hour", "moving-over", "reading-a-trace", "privacy", "backup", "command",
))}  # fmt: skip
SAME_AS = {"docs/pt/primeira-hora.md": "docs/first-hour.md", "docs/pt/mudanca.md": "docs/moving-over.md",
           "docs/pt/privacidade.md": "docs/privacy.md"}  # fmt: skip
ZAP = (
    ("# bridge:", "bridge:"), ("#   - name: zap", "  - name: zap"), ("#     provider:", "    provider:"),
    ("#     url:", "    url:"), ("#     api_key:", "    api_key:"), ("#     instance:", "    instance:"),
    ("channels: [operator]", "channels: [zap, operator]"), ("# fallback_after", "fallback_after"),
)  # fmt: skip
CONFIG = "etc/pombo/pombo.yaml"
PRINTED = "docs/command.md"  # its blocks without a kind are compared by tests/end_to_end/test_command.py


def of(page: str) -> list[Block]:
    return list(blocks(page))


@pytest.fixture(scope="module")
def machine(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """After the first block of the first hour: installed, and `pombo init` made."""
    machine = Machine(tmp_path_factory.mktemp("machine"), wheel)
    try:
        machine.run_blocks(of("docs/first-hour.md")[:1])
        yield machine
    finally:
        machine.close()


@pytest.fixture()
def tidy(machine: Machine) -> Iterator[Machine]:
    """The machine, with nothing running before and after."""
    try:
        yield machine
    finally:
        machine.close()


def test_every_block_of_commands_is_run_somewhere_or_says_why_not() -> None:
    shown = {page for page in PAGES if any(not block.not_run for block in blocks(page))}
    assert shown == RUN_HERE | set(SAME_AS)
    for page in PAGES:
        text = (ROOT / page).read_text(encoding="utf-8")
        fences = re.findall(r"^```(\w*)\n((?:(?!```).*\n)*)", text, re.MULTILINE)
        bare = [body for kind, body in fences if kind == "" and re.search(r"^(\$ )?(pombo|make|python3) ", body, re.M)]
        assert bare == [] or page == PRINTED, f"{page}: give the block a kind, sh or console"


@pytest.mark.parametrize(("page", "original"), SAME_AS.items())
def test_a_translated_page_shows_the_same_commands(page: str, original: str) -> None:
    assert [one.text for one in blocks(page)] == [one.text for one in blocks(original)]
    headings = [re.findall(r"^#+", (ROOT / one).read_text(), re.MULTILINE) for one in (page, original)]
    assert headings[0] == headings[1]


@pytest.mark.slow
def test_the_first_hour(tidy: Machine) -> None:
    """As a newcomer: install, three lines, check, run, a message sent and traced, a right edit and a wrong one."""
    found = of("docs/first-hour.md")
    tidy.run("pombo simulate smsc --system-id loja --password 0p3rator")  # the operator
    tidy.edit(CONFIG, ("system_id: pombo #", "system_id: loja #"), ('price: "0.08"', 'price: "0.07"'))
    (tidy.root / "etc/pombo/secrets/operator_password").write_text("0p3rator\n")
    tidy.run_blocks(found[1:2])
    tidy.run('for i in $(seq 100); do pombo status | grep -q "operator .* up" && exit; sleep 0.1; done; exit 1')
    tidy.run_blocks(found[2:3])
    assert "R$ 0.07" in tidy.run("pombo trace 11987654321").replace(",", ".")
    tidy.edit(CONFIG, ("throughput: 100/s", "throughput: lots"))
    refused = tidy.run("pombo reload && exit 9; pombo check /etc/pombo/pombo.yaml && exit 9; pombo status")
    assert refused.count('throughput: expected a rate, got "lots"') == 2, refused
    tidy.edit(CONFIG, ("throughput: lots", "throughput: 90/s"))
    tidy.run_blocks(found[3:])
    assert "throughput: 90/s" in tidy.run("pombo config")
    tidy.edit(CONFIG, *ZAP)
    tidy.run_blocks(found[3:])
    assert "zap" in tidy.run("pombo status")


@pytest.mark.slow
def test_moving_over_and_the_pages_about_a_running_node(tidy: Machine) -> None:
    """In a dry run, which needs nobody outside."""
    tidy.edit(CONFIG, ("# dry_run: true", "dry_run: true"), ("/var/lib/pombo/store", "/var/lib/pombo/rehearsal"))
    tidy.run("pombo run")
    for page in ("docs/moving-over.md", "docs/reading-a-trace.md"):
        tidy.run_blocks(of(page))
    said = tidy.run("pombo status; pombo trace 11987654321")
    assert "dry run: everything is accepted and nothing is sent" in said
    assert "dry run, nothing was sent" in said
    tidy.run_blocks(of("docs/privacy.md"))
    tidy.run("pombo trace 11987654321", allowed=(1,))
    tidy.run_blocks(of("docs/backup.md"))
    assert (tidy.root / "var/backups/pombo-config.tar.gz").stat().st_mode & 0o077 == 0, "it has the passwords"
    tidy.edit(CONFIG, ("dry_run: true", "# dry_run: true"), ("/var/lib/pombo/rehearsal", "/var/lib/pombo/store"))


@pytest.mark.slow
def test_completion_as_the_page_of_the_command_installs_it(tidy: Machine) -> None:
    tidy.run("mkdir -p ~/.config/fish/completions")
    tidy.run_blocks(of(PRINTED))
    assert "_pombo" in (tidy.root / "etc/bash_completion.d/pombo").read_text()


@pytest.mark.slow
def test_the_readme(tidy: Machine) -> None:
    """In a checkout whose ports are those of this machine."""
    checkout = tidy.root / "checkout"
    (checkout / "config").mkdir(parents=True)
    (checkout / "config/pombo.yaml").write_text(tidy.here((ROOT / "config/pombo.yaml").read_text()))
    (checkout / ".venv").symlink_to(tidy.root / "opt/pombo")
    shutil.copy(ROOT / "config/pombo.schema.json", checkout / "config")
    run, simulated, shown = (block for block in of("README.md") if not block.not_run)
    tidy.run_blocks([simulated, run], checkout, "config/pombo.yaml")  # who plays the others may as well be first
    tidy.run('for i in $(seq 100); do pombo status | grep -c " up " | grep -q 2 && exit; sleep 0.1; done; exit 1',
             checkout, "config/pombo.yaml")  # fmt: skip
    tidy.run_blocks([shown], checkout, "config/pombo.yaml")
