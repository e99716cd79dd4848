"""What `make bench` makes of figures: medians, ratios, goals, table, page; and the small parts it is built of."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from config.load import load
from tools.bench import configurations, page, silent_esmes, table, whatsapp_stub
from tools.bench.__main__ import PAGE, SCENES, main, play
from tools.bench.capped_operator import busiest_second, rate
from tools.bench.configurations import Place
from tools.bench.loadtool import LoadError, LoadTool, NoTool, find_source, with_numbered_users, with_ucs2
from tools.bench.rows import ROWS, chosen, smaller
from tools.bench.scenes import FULL, QUICK, Bench, Scene
from tools.bench.stage import read
from tools.bench.table import Goal, Result, Row

RATE = Row("rate", "of messages", ("a",), lambda one: one["a"]["per_s"], Goal(100, or_ratio=0.5), "/s", of_tool="a")
WAIT = Row("wait", "of an answer", ("a",), lambda one: one["a"]["ms"], Goal(5, "at most"), "ms", 1)
WORST = Row("most", "in a second", ("a",), lambda one: one["a"]["most"], Goal(150, "at most"), worst=True)
ROUNDS = [
    {"a": {"per_s": 90.0, "T": 100.0, "ms": 4.0, "most": 150.0}},
    {"a": {"per_s": 80.0, "T": 200.0, "ms": 9.0, "most": 151.0}},
    {"a": {"per_s": 95.0, "T": 100.0, "ms": 5.0, "most": 149.0}},
]


def test_a_row_says_the_median_of_its_rounds_and_of_their_ratios() -> None:
    made = table.result(RATE, ROUNDS, {})
    assert (made.value, made.values, made.ratio) == (90.0, (90.0, 80.0, 95.0), 0.9)


def test_what_may_never_happen_is_told_by_its_worst_round() -> None:
    made = table.result(WORST, ROUNDS, {})
    assert (made.value, made.met) == (151.0, False)


@pytest.mark.parametrize(
    ("goal", "value", "ratio", "met"),
    [
        (Goal(100), 100.0, None, True),
        (Goal(100), 99.9, None, False),
        (Goal(100, or_ratio=0.5), 60.0, 0.5, True),
        (Goal(100, or_ratio=0.5), 60.0, 0.49, False),
        (Goal(100), 60.0, 9.0, False),
        (Goal(5, "at most"), 5.0, None, True),
        (Goal(5, "at most"), 5.1, 9.0, False),
    ],
)
def test_a_goal_is_met_by_the_value_or_by_the_ratio_it_names(
    goal: Goal, value: float, ratio: float | None, met: bool
) -> None:
    assert goal.met(value, ratio) is met


def test_a_row_takes_only_the_rounds_that_have_all_its_scenes() -> None:
    both = Row("both", "", ("a", "b"), lambda one: one["a"]["x"] / one["b"]["x"], Goal(1))
    rounds = [{"a": {"x": 1.0}}, {"a": {"x": 4.0}, "b": {"x": 2.0}}]
    assert table.result(both, rounds, {}).values == (2.0,)


def test_what_was_not_measured_says_why_and_is_neither_met_nor_missed() -> None:
    made = table.result(RATE, [], {"a": "LoadError: no answer", "b": "of another scene"})
    assert (made.met, made.why) == (None, "a: LoadError: no answer")
    assert table.cells(made)[-1] == "not measured"
    assert table.remarks([made]) == ["rate: a: LoadError: no answer"]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (RATE, ("rate", "of messages", "90 /s", "80 /s", "95 /s", "3", "0.9000", "≥ 100 /s or 0.5 T", "yes")),
        (WAIT, ("wait", "of an answer", "5.0 ms", "4.0 ms", "9.0 ms", "3", "", "≤ 5.0 ms", "yes")),
        (WORST, ("most", "in a second", "151", "149", "151", "3", "", "≤ 150", "no")),
    ],
    ids=lambda one: one.name if isinstance(one, Row) else "",
)
def test_the_words_of_a_line(row: Row, expected: tuple[str, ...]) -> None:
    assert table.cells(table.result(row, ROUNDS, {})) == expected


def test_a_row_that_was_measured_with_less_has_a_star() -> None:
    made = table.result(RATE, ROUNDS, {}, "over 10 messages")
    assert table.cells(made)[-1] == "yes*" and table.remarks([made]) == ["*rate: over 10 messages"]


def test_the_columns_of_the_table_stand_below_each_other() -> None:
    lines = table.text_table([table.result(row, ROUNDS, {}) for row in (RATE, WAIT)]).splitlines()
    at = lines[0].index("goal")
    assert [line[at] for line in lines[2:]] == ["≥", "≤"]


# ---- the page


def test_the_section_goes_between_the_markers_and_replaces_what_was_there() -> None:
    text = f"# P\n\n{page.BEGIN}\n{page.END}\n\nrest\n"
    once = page.with_section(text, "## One\n")
    assert once == f"# P\n\n{page.BEGIN}\n\n## One\n\n{page.END}\n\nrest\n"
    assert page.with_section(once, "## Two\n") == once.replace("One", "Two")


def test_a_page_without_markers_is_left_alone() -> None:
    with pytest.raises(page.NoMarkers, match="make bench writes"):
        page.with_section("# P\n", "## One\n")


def test_our_page_has_the_markers() -> None:
    assert page.with_section(PAGE.read_text("utf-8"), "## One").count("## One") == 1


def test_the_section_is_a_table_with_machine_and_versions() -> None:
    made = page.section([table.result(RATE, ROUNDS, {}), Result(WAIT, why="failed")], {"Python": "3.11"}, "1 May 2026")
    assert "1 of 2 goals met" in made and "1 May 2026" in made
    assert "| `rate` | of messages | **90 /s** | 80 /s | 95 /s | 3 | 0.9000 | ≥ 100 /s or 0.5 T | yes |" in made
    assert "- wait: failed" in made and "| Python | 3.11 |" in made
    assert len({line.count("|") for line in made.splitlines() if line.startswith(("| row", "|---|---|-", "| `"))}) == 1


# ---- rows and scenes


def test_every_row_is_made_of_scenes_there_are_and_every_scene_is_for_a_row() -> None:
    assert {scene for row in ROWS for scene in row.scenes} == {scene.name for scene in SCENES}
    assert len({row.name for row in ROWS}) == len(ROWS)


def test_rows_can_be_picked_and_an_unknown_one_is_told_from_those_there_are() -> None:
    assert [row.name for row in chosen("cpu,sms")] == ["cpu", "sms"]
    with pytest.raises(ValueError, match="'speed'; there are sms, workers, books"):
        chosen("sms,speed")


def test_only_a_smaller_run_says_that_it_is_one() -> None:
    (row,) = chosen("urgent")
    assert smaller(row, FULL) == "" and smaller(row, QUICK) == f"{QUICK.low_waiting:,} waited"


def test_a_scene_that_fails_leaves_the_others_and_is_not_played_again() -> None:
    played: list[str] = []

    def fails(bench: Bench) -> table.Figures:
        played.append("fails")
        raise LoadError("no answer")

    def works(bench: Bench) -> table.Figures:
        played.append("works")
        return {"x": 1.0}

    bench = Bench(LoadTool(Path(), None), Path(), FULL)
    scenes = [Scene("fails", fails), Scene("works", works, most_rounds=2)]
    rounds, why = play(bench, scenes, lambda line: None)
    assert played == ["fails", "works", "works"]
    assert why == {"fails": "LoadError: no answer"}
    assert rounds[:2] == [{"works": {"x": 1.0}}] * 2


@pytest.mark.parametrize(
    "configure",
    [
        configurations.plain,
        configurations.every_feature,
        configurations.forgetful,
        configurations.whatsapp_only,
        configurations.with_absent_operator,
        lambda place: configurations.with_lookup(place, True),
        lambda place: configurations.with_lookup(place, False),
        lambda place: configurations.with_accounts(place, ["a", "b"]),
        lambda place: configurations.with_routes(place, 500),
        lambda place: configurations.urgent_first(place, 500),
        lambda place: configurations.capped(place, 150),
    ],
)
def test_the_configurations_are_valid(tmp_path: Path, configure: configurations.Configure) -> None:
    import yaml

    path = tmp_path / "pombo.yaml"
    path.write_text(yaml.safe_dump(configure(Place(tmp_path, 1001, 1002, 1003, 1004))))
    path.chmod(0o600)
    load(path)


# ---- the load tool


def test_the_source_is_what_was_named_and_else_it_is_said_where_it_belongs(tmp_path: Path) -> None:
    source = tmp_path / "smppbench.c"
    with pytest.raises(NoTool, match=r"smppbench\.c, is missing.*\.\./shared/bench.*POMBO_BENCH="):
        find_source(str(source), {})
    source.touch()
    assert find_source(str(source), {"POMBO_BENCH": "/elsewhere"}) == source
    assert find_source(None, {"POMBO_BENCH": str(source)}) == source


def test_without_the_tool_nothing_is_begun(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--tool", str(tmp_path / "smppbench.c")]) == 2
    assert "is missing" in capsys.readouterr().err


def test_without_a_compiler_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(NoTool, match="compiler no-such-cc is missing"):
        LoadTool.build(tmp_path / "smppbench.c", tmp_path, {"CC": "no-such-cc"})


def test_only_a_source_that_writes_data_coding_as_we_know_is_changed() -> None:
    known = "*p++ = o_dlr ? 1 : 0; *p++ = 0; *p++ = 0; *p++ = 0;        /* coding */"
    assert with_ucs2(known) == "*p++ = o_dlr ? 1 : 0; *p++ = 0; *p++ = 8; *p++ = 0;        /* coding */"
    assert with_ucs2("something else") is None


def test_only_a_source_that_writes_the_bind_as_we_know_gets_numbered_users() -> None:
    known = 'n += snprintf((char *)b + n, 17, "%s", o_user) + 1;'
    assert with_numbered_users(known) == "n += snprintf((char *)b + n, 17, o_user, i) + 1;"
    assert with_numbered_users("something else") is None and with_numbered_users(known * 2) is None


def test_what_the_tool_says_becomes_figures() -> None:
    said = {
        "ack_per_s": 900, "receipt_per_s": 800, "answered": 100, "ok": 98, "unanswered": 1, "receipts_missing": 2,
        "receipts_dup": 3, "receipts_unknown": 4, "ack_ms": {"p50": 1.5, "p99": 9.0},
    }  # fmt: skip
    assert read(said) == {
        "answers_per_s": 900.0, "receipts_per_s": 800.0, "refused": 2.0, "wrong": 12.0, "answer_p50_ms": 1.5,
        "answer_p99_ms": 9.0,
    }  # fmt: skip


# ---- the others on the stage


@pytest.mark.parametrize(
    ("times", "most"),
    [([], 0), ([0.0], 1), ([0.0, 0.5, 0.9, 1.0], 3), ([0.0, 0.9, 0.95, 1.5, 1.85], 4), ([0.0, 1.0, 2.0], 1)],
)
def test_the_busiest_second_begins_anywhere(times: list[float], most: int) -> None:
    assert busiest_second(times) == most


def test_a_rate_is_that_between_the_first_and_the_last() -> None:
    assert rate([1.0, 1.5, 2.0, 3.0]) == 1.5 and rate([1.0]) == 0.0


def test_requests_are_cut_wherever_the_stream_is() -> None:
    stream = b"POST /a HTTP/1.1\r\nContent-length: 2\r\n\r\n{}GET /b HTTP/1.1\r\nHost: x\r\n\r\n"
    buffer, got = bytearray(), []
    for octet in stream:
        buffer.append(octet)
        got += whatsapp_stub.requests(buffer)
    assert got == [("POST", "/a", b"{}"), ("GET", "/b", b"")] and not buffer


def test_the_stub_speaks_so_that_the_gateway_understands() -> None:
    from bridge.provider import HttpRequest, HttpResponse
    from bridge.providers.evolution import Evolution
    from gateway.messages.outcome import Accepted, Status

    evolution = Evolution("zap", "http://stub", "key", "main")
    nobody, everybody = whatsapp_stub.Provider(False, 0.15), whatsapp_stub.Provider(True, 0.0)

    def asked(provider: whatsapp_stub.Provider, request: HttpRequest) -> tuple[whatsapp_stub.Answer, HttpResponse]:
        answer = provider.answer(request.url.removeprefix("http://stub"), request.body)
        head, _, body = whatsapp_stub.reply(answer).partition(b"\r\n\r\n")
        assert re.search(rb"Content-Length: (\d+)", head)[1] == b"%d" % len(body)  # type: ignore[index]
        return answer, HttpResponse(answer.status, body)

    numbers = ["5511970000001", "5511970000002"]
    answer, response = asked(nobody, evolution.check_request(numbers))
    assert answer.after_s == 0.15
    assert evolution.read_check(response, numbers) == dict.fromkeys(numbers, False)
    _, response = asked(everybody, evolution.state_request())
    assert evolution.read_state(response) is True
    answer, response = asked(everybody, evolution.send_request(numbers[0], "Ola", "id"))
    taken = evolution.read_send(response)
    assert isinstance(taken, Accepted) and taken.remote_id == answer.sent
    for status, meaning in zip(whatsapp_stub.STATUSES, (Status.SENT, Status.DELIVERED), strict=True):
        [(_, path, body)] = whatsapp_stub.requests(bytearray(whatsapp_stub.webhook("/webhooks/zap", "W1", status)))
        read_of = evolution.read_webhook(HttpRequest("POST", f"http://gateway{path}", (), body), 0.0)
        [report] = read_of.reports  # type: ignore[union-attr]
        assert (report.remote_id, report.status) == ("W1", meaning)


def test_silent_sessions_bind_answer_enquire_link_and_say_when_they_were_refused() -> None:
    from gateway.smpp.framing import Framer
    from gateway.smpp.pdu import BindTransceiver, BindTransceiverResp, EnquireLink, EnquireLinkResp, decode, encode

    answered: list[int] = []

    async def gateway(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        framer = Framer(70_000)
        bind = decode(framer.feed(await reader.read(4096))[0])
        assert isinstance(bind, BindTransceiver) and bind.system_id == "idle"
        status = 0 if bind.password == "secret" else 0x0E
        writer.write(encode(BindTransceiverResp(sequence_number=bind.sequence_number, command_status=status)))
        if not status:
            writer.write(encode(EnquireLink(), 7))
            response = decode(framer.feed(await reader.read(4096))[0])
            assert isinstance(response, EnquireLinkResp)
            answered.append(response.sequence_number)
        writer.close()

    async def play() -> None:
        server = await asyncio.start_server(gateway, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(silent_esmes.Refused, match="0x0000000E"):
            await silent_esmes.Silent.bound(port, "idle", "wrong")
        sessions = [await silent_esmes.Silent.bound(port, "idle", "secret") for _ in range(2)]
        await asyncio.gather(*(session.stay() for session in sessions))
        server.close()

    asyncio.run(asyncio.wait_for(play(), 10.0))
    assert answered == [7, 7]
