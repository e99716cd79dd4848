"""Known vulnerabilities of what Pombo is installed with, and a bill of materials of it.

    python -m tools.audit              # make audit
    python -m tools.audit --no-bill    # vulnerabilities alone, and no tool is installed where nobody can be asked

pip-audit and cyclonedx-bom run in an environment of their own, var/audit, so that neither their needs nor the tests'
are taken for Pombo's. Exit status 3 only when a vulnerability is known. Where the tools or the data cannot be had it
says so and ends with 0: a build must not fail for somebody else's network, nor look audited for it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import requests
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

HOME, BILL = Path("var/audit"), Path("dist/pombo.cdx.json")
TOOLS = ("pip-audit>=2.7", "cyclonedx-bom>=5.0")
SERVICES = {  # who knows of vulnerabilities, and what such a service answers
    "pypi": "https://pypi.org/pypi/requests/json",
    "osv": "https://api.osv.dev/v1/vulns/PYSEC-2018-28",
}
KNOWN = 3  # exit status: of nothing else that may go wrong
INSTALL_S, ASK_S, PROBE_S = 90.0, 60.0, 4.0
NOBODY = "NOT AUDITED: no service that knows of vulnerabilities could be asked from here"


def installed_with(root: str = "pombo") -> dict[str, str]:
    """Name -> version of everything that a distribution needs here, directly or not, its extras left out."""
    found: dict[str, str] = {}
    wanted = [(root, frozenset[str]())]
    while wanted:
        name, extras = wanted.pop()
        for line in metadata.requires(name) or ():
            one = Requirement(line)
            if one.marker is not None and not any(one.marker.evaluate({"extra": e}) for e in extras or {""}):
                continue
            known = str(canonicalize_name(one.name))
            if known not in found or one.extras:
                found[known] = metadata.version(known)
                wanted.append((known, frozenset(one.extras)))
    return found


def verdict(reports: Iterable[Mapping[str, Any]]) -> tuple[list[str], int]:
    """What to say of pip-audit's reports, one of each service that answered, and the exit status."""
    audited: dict[str, list[Mapping[str, Any]]] = {}
    unknown: set[str] = set()
    for report in reports:
        for one in report.get("dependencies", ()):
            if "skip_reason" in one:
                unknown.add(str(one["name"]))
            else:
                audited.setdefault(f"{one['name']} {one['version']}", []).extend(one["vulns"])
    lines = [
        f"{name}: {found['id']}, mended in {', '.join(found['fix_versions']) or 'no version yet'}"
        for name, vulns in sorted(audited.items())
        for found in {found["id"]: found for found in vulns}.values()
    ]
    if lines:
        return [*lines, "update what setup.cfg asks for, or say in the changelog why it does not concern Pombo"], KNOWN
    if not audited:
        return [NOBODY], 0
    missing = unknown - {name.partition(" ")[0] for name in audited}
    left = f"; not known there: {', '.join(sorted(missing))}" if missing else ""
    return [f"{len(audited)} packages, no known vulnerability{left}"], 0


def of_ours(bill: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """A bill of materials of an environment, reduced to these packages and Pombo itself."""
    ours = {"pombo", *names}
    components = [one for one in bill.get("components", ()) if canonicalize_name(one["name"]) in ours]
    refs = {one["bom-ref"] for one in components}
    edges = [
        {**one, "dependsOn": [ref for ref in one.get("dependsOn", ()) if ref in refs]}
        for one in bill.get("dependencies", ())
        if one["ref"] in refs
    ]
    return {**bill, "components": components, "dependencies": edges}


def main(words: Sequence[str]) -> int:
    needed, services = installed_with(), [name for name, url in SERVICES.items() if _answers(url)]
    wants_bill = "--no-bill" not in words
    if not services and not wants_bill:
        print(f"audit: {NOBODY}")
        return 0
    if not _tools():
        print("audit: NOT AUDITED: pip-audit and cyclonedx-bom could not be installed from here")
        return 0
    lines, status = verdict(_reports(needed, services))
    print("\n".join(f"audit: {line}" for line in lines))
    if wants_bill:
        bill = _bill(needed)
        told = f"{BILL}, {len(bill['components'])} packages" if bill else "NONE: cyclonedx-bom failed"
        print(f"bill of materials: {told}")
    return status


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=PROBE_S).status_code == 200
    except requests.RequestException:
        return False


def _tools() -> bool:
    python = HOME / "bin/python"
    if (HOME / "bin/pip-audit").exists() and (HOME / "bin/cyclonedx-py").exists():
        return True
    install = (str(python), "-m", "pip", "--disable-pip-version-check", "--quiet", "install", *TOOLS)
    return _run((sys.executable, "-m", "venv", str(HOME)), INSTALL_S) and _run(install, INSTALL_S)


def _reports(needed: Mapping[str, str], services: Iterable[str]) -> list[dict[str, Any]]:
    reports: list[dict[str, Any]] = []
    with TemporaryDirectory() as directory:
        pinned, out = Path(directory) / "pinned.txt", Path(directory) / "report.json"
        pinned.write_text("".join(f"{name}=={version}\n" for name, version in needed.items()))
        for service in services:
            out.unlink(missing_ok=True)
            _run(
                (str(HOME / "bin/pip-audit"), "--service", service, "--requirement", str(pinned), "--no-deps",
                 "--disable-pip", "--progress-spinner", "off", "--timeout", "5", "--format", "json",
                 "--output", str(out)),
                ASK_S,
            )  # fmt: skip
            if out.exists():
                reports.append(json.loads(out.read_text(encoding="utf-8")))
            if any("skip_reason" not in one for report in reports for one in report["dependencies"]):
                break
    return reports


def _bill(needed: Iterable[str]) -> dict[str, Any]:
    BILL.parent.mkdir(exist_ok=True)
    make = (str(HOME / "bin/cyclonedx-py"), "environment", "--output-reproducible", "-o", str(BILL), sys.executable)
    if not _run(make, ASK_S):
        return {}
    bill = of_ours(json.loads(BILL.read_text(encoding="utf-8")), needed)
    BILL.write_text(json.dumps(bill, indent=2) + "\n", encoding="utf-8")
    return bill


def _run(command: Sequence[str], patience_s: float) -> bool:
    try:
        return subprocess.run(command, capture_output=True, timeout=patience_s).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
