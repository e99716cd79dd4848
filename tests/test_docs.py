"""What the documents say exists: commands, files, links, metrics, keys of the store, error codes."""

from __future__ import annotations

import argparse
import configparser
import inspect
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from bridge.providers import PROVIDERS
from config.effects import ACCOUNTS, SMSC
from config.quirks import PRESETS, SWITCHES
from config.schema import BridgeSettings
from gateway.delivery import operations
from gateway.messages.states import FINAL, STAT
from gateway.metrics import COUNTERS, GAUGES, HISTOGRAMS
from gateway.routing import decide
from gateway.server.translate import CHANNEL_TAG
from gateway.store import keys
from tools import cli, laboratory

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("README.md", "CHANGELOG.md", *(str(path.relative_to(ROOT)) for path in sorted((ROOT / "docs").rglob("*.md"))))
MADE_LATER = ("var/", "/etc/pombo/", "examples/", "docker/secrets/")  # by the gateway, by `pombo init`, by a reader
README = (ROOT / "README.md").read_text(encoding="utf-8")


def read(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def section(text: str, title: str) -> str:
    """What stands under a heading, up to the next one of its level."""
    return text.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def commands() -> list[list[str]]:
    """The command lines of README, as words; comments left out."""
    blocks = re.findall(r"^```sh\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    return [words for line in "".join(blocks).splitlines() if (words := shlex.split(line, comments=True))]


def test_the_readme_shows_the_commands_one_starts_with() -> None:
    started = {" ".join(words[:2]) for words in commands()}
    wanted = {"make demo", "make test", *(f"pombo {name}" for name in ("check", "run", "send", "trace", "status"))}
    assert wanted <= started


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_a_command_of_the_readme_can_be_given(words: list[str]) -> None:
    match words:
        case ["make", *targets]:
            known = set(re.findall(r"^([a-z]+):", read("Makefile"), re.MULTILINE))
            assert set(targets) <= known
        case ["pombo", "simulate", *options]:
            parser = argparse.ArgumentParser()
            laboratory.add_arguments(parser)
            parser.parse_args(options)
        case ["pombo", *options]:
            cli.parser().parse_args(options)
        case [".", path]:
            assert path == ".venv/bin/activate"
        case ["export", assignment]:
            name, _, path = assignment.partition("=")
            assert name == "POMBO_CONFIG" and (ROOT / path).is_file()
        case _:
            pytest.fail(f"README shows a command that nothing here checks: {words[0]}")


def lines_with_pombo() -> list[tuple[str, str]]:
    """(page, line) of every command of ours in a block of the pages beside README."""
    found = []
    for page in PAGES:
        for block in re.findall(r"^```(?:sh)?\n(.*?)^```", read(page), re.MULTILINE | re.DOTALL):
            session = block.startswith("$ ")  # then the other lines are what is printed
            for line in block.splitlines():
                if session and not line.startswith("$ "):
                    continue
                shown = line.removeprefix("$ ").removeprefix("/opt/pombo/bin/")
                if shown.startswith("pombo ") and page != "README.md":
                    found.append((page, re.split(r" [>|] ", shown)[0]))
    return found


@pytest.mark.parametrize(("page", "line"), lines_with_pombo())
def test_a_command_that_a_page_shows_can_be_given(page: str, line: str) -> None:
    match shlex.split(line, comments=True)[1:]:
        case ["simulate", *options]:
            parser = argparse.ArgumentParser()
            laboratory.add_arguments(parser)
            parser.parse_args(options)
        case options:
            cli.parser().parse_args(options)


def test_every_command_of_pombo_is_in_the_readme() -> None:
    (actions,) = [a for a in cli.parser()._actions if isinstance(a, argparse._SubParsersAction)]
    assert [name for name in actions.choices if f"pombo {name}" not in README] == []


@pytest.mark.parametrize("page", PAGES)
def test_links_and_files_that_a_page_names_exist(page: str) -> None:
    text = read(page)
    here = (ROOT / page).parent
    links = [link for link in re.findall(r"\]\(([^)#\s]+)\)", text) if "://" not in link]
    named = re.findall(r"`((?:[a-z_]+/)+(?:[\w.]+)?|[\w/]+\.(?:yaml|tac))`", text)
    missing = [link for link in links if not (here / link).exists()]
    missing += [name for name in named if not name.startswith(MADE_LATER) and not (ROOT / name).exists()]
    assert missing == []


def test_the_readme_leads_to_every_page() -> None:
    linked = set(re.findall(r"\]\((docs/[\w/-]+\.md)\)", README))
    assert [page for page in PAGES if page.startswith("docs/") and page not in linked] == []


def test_the_files_in_the_drawing_exist() -> None:
    drawing = re.findall(r"```\n(.*?)```", read("docs/architecture.md"), re.DOTALL)[0]
    known = {path.name for room in ("gateway", "smsc_client", "bridge") for path in (ROOT / room).rglob("*.py")}
    assert set(re.findall(r"\b(\w+\.py)\b", drawing)) - known == set()


def test_the_page_of_the_configuration_tells_of_every_quirk_and_what_each_preset_stands_for() -> None:
    told = section(read("docs/configuration.md"), "smpp_server.accounts[]").partition("### Quirks")[2]
    rows = re.findall(r"^- `(\w+)`: (.*)", told, re.MULTILINE)
    assert [name for name, _ in rows] == [*PRESETS, *SWITCHES]
    presets = {name: tuple(re.findall(r"`(\w+)`", text)) for name, text in rows if name in PRESETS}
    assert presets == dict(PRESETS)


def test_the_page_of_metrics_names_every_metric_with_its_labels_and_no_other() -> None:
    rows = re.findall(r"^\| `(pombo_\w+)` \| ([^|]*)\|", read("docs/metrics.md"), re.MULTILINE)
    shown = {name: tuple(re.findall(r"`(\w+)`", labels)) for name, labels in rows}
    real = {f"{name}_total": labels for name, (_, labels) in COUNTERS.items()}
    real |= {name: labels for name, (_, labels) in GAUGES.items()}
    real |= {name: labels for name, (_, labels, _) in HISTOGRAMS.items()}
    assert shown == real


def test_metrics_named_anywhere_exist() -> None:
    real = {f"{name}_total" for name in COUNTERS} | set(GAUGES) | set(HISTOGRAMS)
    for page in PAGES:
        assert set(re.findall(r"\bpombo_[a-z_]+[a-z]\b", read(page))) <= real, page


def test_the_page_of_the_architecture_names_every_key_of_the_store() -> None:
    made = {
        keys.ERASURES,
        keys.DUE,
        keys.FEED,
        keys.INCARNATIONS,
        keys.NUMBERS,
        keys.MEMBERS,
        keys.HANDS,
        keys.FORMAT,
        keys.PURPOSE,
    }
    for _, make in inspect.getmembers(keys, inspect.isfunction):
        made.add(make(*["{}"] * len(inspect.signature(make).parameters)))
    told = section(read("docs/architecture.md"), "The store")
    shown = {re.sub(r"\{[^}]*\}", "{}", key) for key in re.findall(r"^\| `([^`]+)` \|", told, re.MULTILINE)}
    assert shown == made


def test_the_page_of_receipts_names_every_end_and_every_code_of_ours() -> None:
    page = read("docs/receipts.md")
    ends = {(stat, int(state)) for stat, state in re.findall(r"^\| `([A-Z]{7})` \| (\d) \|", page, re.MULTILINE)}
    told = {STAT[state] for state in FINAL if (STAT[state], int(state)) in ends}
    assert told == {STAT[state] for state in FINAL} - {"UNKNOWN"}  # no message of an ESME ends UNKNOWN
    ours = {value for module in (decide, operations) for name, value in vars(module).items() if name.startswith("ERR_")}
    assert {int(code) for code in re.findall(r"^\| `(\d{3})` \|", page, re.MULTILINE)} == ours
    assert f"0x{CHANNEL_TAG:04X}" in page


def test_what_the_readme_calls_not_built_is_not_built() -> None:
    told = section(README, "Not built yet")
    providers = set(BridgeSettings.model_fields["provider"].annotation.__args__)  # type: ignore[union-attr]
    missing = {name for name in providers - set(PROVIDERS) if f"`{name}`" not in told}
    assert not missing
    others = told.partition("`evolution`: ")[2]
    assert [name for name in PROVIDERS if f"`{name}`" in others] == []
    without_effect = {row.key for row in (*ACCOUNTS, *SMSC) if "in this version" in row.because}
    for key in ("outbind", "dedupe"):
        assert (key in without_effect) == (f"`{key}`" in told), key


def test_the_changelog_tells_of_the_version_that_is_installed() -> None:
    metadata = configparser.ConfigParser()
    metadata.read(ROOT / "setup.cfg")
    assert f"## [{metadata['metadata']['version']}]" in read("CHANGELOG.md")


def test_the_licence_is_whole() -> None:
    text = read("LICENSE")
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text


def test_no_file_names_somebodys_machine_or_package_index() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    machine = re.compile(
        r"(?<![\w.$}>])/(?:home|root|work|Users|mnt)/\w|--?(?:extra-)?index[-_]url|registry\s*=\s*http"
    )
    wrong = []
    for name in listed.stdout.decode().split("\0"):
        path = ROOT / name
        if name and path.is_file() and path != Path(__file__).resolve():
            text = path.read_bytes().decode("utf-8", "replace")
            wrong += [f"{name}: {found[0]}" for found in machine.finditer(text)]
    assert wrong == []
