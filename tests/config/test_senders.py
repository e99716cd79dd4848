"""Several senders in one channel: what each of them is, and what may be wrong with the list."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.effects import without_effect
from config.load import ConfigErrors, load
from config.schema import sender_name

CHANNEL = """\
bridge:
  - name: zap
    provider: PROVIDER
    url: http://10.0.0.7:8080
    api_key: channel-s3cret
    throughput: 5/s
    limits: {day: 100, person: 6s}
    senders:
      - instance: sales
      - {instance: '5511987654321', name: second, api_key: own-s3cret, throughput: 1/s, limits: {day: 10}}
"""
WEB = CHANNEL.replace("PROVIDER", "evolution")
META = """\
bridge:
  - name: zap
    provider: cloud_api
    url: https://graph.facebook.com/v25.0
    api_key: s3cret
    business_account: X
    senders:
      - {instance: '1', app_secret: one-s3cret}
      - {instance: '2', url: 'https://waba-v2.360dialog.io', webhook_secret: two-s3cret, business_account: Y}
"""


def written(tmp_path: Path, text: str) -> Path:
    (tmp_path / "pombo.yaml").write_text(text)
    return tmp_path / "pombo.yaml"


def test_a_sender_has_what_it_says_and_else_what_the_channel_says(tmp_path: Path) -> None:
    [channel] = load(written(tmp_path, WEB), {}).bridge
    sales, second = channel.apart().values()
    assert list(channel.apart()) == ["sales", "second"]
    assert (sales.instance, sales.throughput, sales.limits.day) == ("sales", 5.0, 100)
    assert (second.instance, second.throughput) == ("5511987654321", 1.0)
    assert (second.limits.day, second.limits.person) == (10, None), "its limits, and none of the channel's"
    keys = [one.api_key.get_secret_value() for one in (sales, second)]
    assert keys == ["channel-s3cret", "own-s3cret"]
    assert (second.lookup, second.health, second.name) == (channel.lookup, channel.health, "zap")
    assert "s3cret" not in repr(channel) and "s3cret" not in repr(second)


def test_a_channel_without_a_list_is_its_own_sender(tmp_path: Path) -> None:
    text = WEB[: WEB.index("    senders:")] + "    instance: main\n"
    [channel] = load(written(tmp_path, text), {}).bridge
    assert channel.apart() == {"main": channel} and not channel.of_several


def test_the_channel_needs_no_key_where_every_sender_has_its_own(tmp_path: Path) -> None:
    text = WEB.replace("    api_key: channel-s3cret\n", "").replace(
        "instance: sales\n", "instance: sales\n        api_key: k\n"
    )
    assert list(load(written(tmp_path, text), {}).bridge[0].apart()) == ["sales", "second"]


@pytest.mark.parametrize(
    ("instance", "name"),
    [
        ("main", "main"), ("loja-12", "loja-12"), ("106540352242922", "…2922"), ("+55 11 98765-4321", "…4321"),
        ("loja_5511987654321", "…4321"),
    ],
)  # fmt: skip
def test_a_sender_is_never_called_by_a_whole_number(instance: str, name: str) -> None:
    assert sender_name(instance) == name


@pytest.mark.parametrize(
    ("text", "line", "key", "right"),
    [
        (WEB + "    instance: main\n", 11, "bridge[0].instance", "write it as one of them, or remove senders"),
        (WEB[: WEB.index("    senders:")], 2, "bridge[0].instance", "or several of them under senders"),
        (WEB[: WEB.index("    senders:")] + "    senders: []\n", 2, "bridge[0].instance", "several of them under"),
        (WEB.replace("'5511987654321'", "sales"), 10, "bridge[0].senders[1].instance", "give it its own"),
        (WEB.replace("second", "sales"), 10, "bridge[0].senders[1].name", "give it its own"),
        (WEB.replace("second", "n5511987654321"), 10, "bridge[0].senders[1].name", "write another, such as sales"),
        (WEB.replace("name: second, ", "").replace("sales", "'5521999994321'"), 10, "bridge[0].senders[1].instance",
         "is called …4321, as another sender of this channel; give it a name"),
        (WEB.replace("    api_key: channel-s3cret\n", ""), 8, "bridge[0].senders[0].api_key", "write api_key: ${NAME}"),
        (WEB.replace("instance: sales", "name: sales"), 9, "bridge[0].senders[0].instance", "write the instance"),
        (WEB.replace("throughput: 1/s", "thruput: 1/s"), 10, "bridge[0].senders[1].thruput", "did you mean throughput"),
        (WEB.replace("throughput: 1/s", "throughput: 1"), 10, "bridge[0].senders[1].throughput", "such as 50/s"),
        (META.replace(", app_secret: one-s3cret", ""), 8, "bridge[0].senders[0].app_secret", "to know its webhooks"),
        (META.replace(" webhook_secret: two-s3cret,", ""), 9, "bridge[0].senders[1].webhook_secret", "360dialog signs"),
        (META.replace("/v25.0", ""), 8, "bridge[0].senders[0].url", "lacks the version"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_what_would_be_right(
    tmp_path: Path, text: str, line: int, key: str, right: str
) -> None:
    with pytest.raises(ConfigErrors) as wrong:
        load(written(tmp_path, text), {})
    [error] = wrong.value.errors
    place, _, what = error.removeprefix(str(tmp_path / "pombo.yaml") + ":").partition(": ")
    assert (place, what.partition(": ")[0]) == (str(line), key)
    assert right in what and "s3cret" not in error


def test_keys_of_a_sender_without_effect_are_named(tmp_path: Path) -> None:
    text = WEB.replace("instance: sales\n", "instance: sales\n        app_secret: x\n        business_account: X\n")
    waha = text.replace("evolution", "waha")
    assert without_effect(load(written(tmp_path, META), {})) == []
    assert [one.partition(" has")[0] for one in without_effect(load(written(tmp_path, text), {}))] == [
        "bridge[0].senders[0].app_secret"
    ]
    assert [one.partition(" has")[0] for one in without_effect(load(written(tmp_path, waha), {}))] == [
        "bridge[0].senders[0].app_secret", "bridge[0].senders[0].business_account",
    ]  # fmt: skip
