"""What would change on a running node, in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.compare import changes
from config.load import load_as_written

BASE = """
node: gw1
smpp_server:
  accounts:
    - {system_id: billing, password: first-secret, throughput: 500/s}
    - {system_id: crm, password: "${CRM}"}
smsc_client:
  - {name: operator, connect: "tcp:127.0.0.1:2776", system_id: pombo, password: op-secret, price: "0.08"}
bridge:
  - {name: zap, provider: evolution, url: "http://127.0.0.1:8080", api_key: zap-secret, instance: main,
     lookup: {budget: 60/m}}
  - name: many
    provider: waha
    url: http://127.0.0.1:3000
    api_key: many-secret
    senders: [{instance: sales, api_key: sales-secret}, {instance: "5511987654321", throughput: 5/s}]
routes:
  - {name: otp, when: {text: codigo}, channels: [zap, operator], fallback_after: 30s}
  - {name: default, channels: [zap, operator], fallback_after: 10m}
log: {level: info}
"""
ENVIRON = {"CRM": "crm-secret", "OTHER": "other-secret"}
OTP = "  - {name: otp, when: {text: codigo}, channels: [zap, operator], fallback_after: 30s}\n"


def differences(tmp_path: Path, before: str, after: str) -> list[str]:
    (tmp_path / "a.yaml").write_text(before)
    (tmp_path / "b.yaml").write_text(after)
    return [str(one) for one in changes(*(load_as_written(tmp_path / name, ENVIRON) for name in ("a.yaml", "b.yaml")))]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("500/s", "500 / s", []),
        ("500/s", "200/s", ["smpp_server.accounts billing: throughput 500/s -> 200/s (at once; its binds stay)"]),
        ("first-secret", "second-secret", ["smpp_server.accounts billing: password differs (its binds end)"]),
        ("${CRM}", "${OTHER}", ["smpp_server.accounts crm: password differs (its binds end)"]),
        ('    - {system_id: crm, password: "${CRM}"}\n', "", ["smpp_server.accounts crm: is gone (its binds end)"]),
        ("smpp_server:\n", "smpp_server:\n  listen: tcp:2775\n",
         ["smpp_server: listen (default) -> tcp:2775 (with the next start)"]),
        ("smpp_server:\n", "smpp_server:\n  enquire_link: 20s\n",
         ["smpp_server: enquire_link (default) -> 20s (for new connections)"]),
        ("0.08", "0.09", ["smsc_client operator: price 0.08 -> 0.09 (at once; its binds stay)"]),
        ("2776", "2777",
         ["smsc_client operator: connect tcp:127.0.0.1:2776 -> tcp:127.0.0.1:2777 (its binds are made anew)"]),
        ("op-secret", "new-secret", ["smsc_client operator: password differs (its binds are made anew)"]),
        ("60/m", "90/m", ["bridge zap: lookup.budget 60/m -> 90/m (the channel starts anew; what it holds waits)"]),
        (":8080", ":8081", ["bridge zap: url differs (the channel starts anew; what it holds waits)"]),
        ("5/s}", "9/s}",
         ["bridge many: sender …4321: throughput 5/s -> 9/s (the channel starts anew; what it holds waits)"]),
        ("sales-secret", "new-secret",
         ["bridge many: sender sales: api_key differs (the channel starts anew; what it holds waits)"]),
        ("{instance: sales, api_key: sales-secret}", "{instance: other, api_key: other-secret}",
         ["bridge many: sender sales: is gone (the channel starts anew; what it holds waits)",
          "bridge many: sender other: is new (the channel starts anew; what it holds waits)"]),
        ('[{instance: sales, api_key: sales-secret}, {instance: "5511987654321", throughput: 5/s}]',
         '[{instance: "5511987654321", throughput: 5/s}, {instance: sales, api_key: sales-secret}]',
         ["bridge many: its senders are in another order (the channel starts anew; what it holds waits)"]),
        ("10m", "5m", ["routes default: fallback_after 10m -> 5m (at once, for new messages)"]),
        ("codigo", "token", ["routes otp: when.text codigo -> token (at once, for new messages)"]),
        ("node: gw1", "node: gw2", ["node: gw1 -> gw2 (with the next start)"]),
        ("level: info", "level: debug", ["log: level info -> debug (with the next start)"]),
    ],
)  # fmt: skip
def test_each_difference_is_told_with_what_it_costs(
    tmp_path: Path, before: str, after: str, expected: list[str]
) -> None:
    assert before in BASE
    found = differences(tmp_path, BASE, BASE.replace(before, after))
    assert found == expected
    assert "secret" not in "".join(found) and "5511987654321" not in "".join(found)


def test_what_is_new_is_told(tmp_path: Path) -> None:
    vip = "  - {name: vip, when: {account: [crm]}, channels: [second, operator], fallback_after: 1m}\n"
    second = "  - {name: second, provider: waha, url: 'http://127.0.0.1:3000', api_key: k, instance: x}\n"
    after = BASE.replace(OTP, OTP + vip).replace("bridge:\n", f"bridge:\n{second}")
    assert differences(tmp_path, BASE, after) == [
        "bridge second: is new (at once)",
        "routes vip: is new (at once, for new messages)",
    ]


def test_routes_that_change_places_are_told(tmp_path: Path) -> None:
    crm = "  - {name: crm, when: {account: [crm]}, channels: [operator]}\n"
    assert differences(tmp_path, BASE.replace(OTP, crm + OTP), BASE.replace(OTP, OTP + crm)) == [
        "routes: their order is now otp, crm, default (at once, for new messages)"
    ]
