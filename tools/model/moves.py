"""From a world to the next ones: everything that can happen, of each world."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import msgspec

from gateway.messages.outcome import (
    Accepted,
    AttemptResult,
    ChannelDown,
    NoAccount,
    Refused,
    Report,
    Status,
    TryLater,
    Uncertain,
    Unwritten,
)
from gateway.messages.states import State
from gateway.store.turn import NEVER
from tools.model.gateway import Call, Hold, Process
from tools.model.memory import CHANNELS, unpack
from tools.model.world import TICK_S, VALID_S, Copy, Scene, World, remote_id

Step = Callable[[Scene], None]
Move = tuple[str, bool, Step]  # what happens; is it calm?


def moves(world: World) -> Iterator[Move]:
    may, ended = world.may, not world.kept.record or bool(world.kept.record[4])
    for i, process in enumerate(world.processes):
        if process.up:
            yield from _of_a_process(world, i, process)
        else:
            yield f"{process.name} is started again", True, partial(_start, i=i)
            yield from _taken_over(world, i, True)
        if process.up and may.takeovers and len(world.processes) > 1:
            yield from _taken_over(world, i, False)
    due = world.kept.due
    if (due > world.now or (not ended and world.now <= VALID_S)) and (may.stalls or not _is_busy(world)):
        busy = _is_busy(world)
        yield "time passes", not busy, partial(_pass, stalled=busy)
    if may.reports:
        yield from _reports(world)
    for report in world.repeats:
        yield from _report(world, report, again=True)
    if may.downs:
        yield "WhatsApp goes down or comes back", False, _toggle


def is_starting(process: Process) -> bool:
    """Before it is through with what the process before it left, it does nothing else."""
    return any(call.name in ("recover", "parked") for call in process.calls)


def _is_busy(world: World) -> bool:
    """Is there something to do at once, so that time does not pass before it is done unless the store stalls?"""
    kept = world.kept
    if any(process.calls for process in world.processes if process.up):
        return True
    look = any(kept.queues) or bool(kept.stream) or (kept.due != NEVER and kept.due <= world.now)
    return look and any(process.up for process in world.processes)


def _of_a_process(world: World, i: int, process: Process) -> Iterator[Move]:
    name, may, kept, calls = process.name, world.may, world.kept, process.calls
    if calls:
        what = _called(calls[0])
        yield f"{name}: the store does {what}", True, partial(_serve, i=i)
        if may.cuts:
            for done in range(len(calls) + 1):
                yield f"{name}: the link breaks, {done} done", False, partial(_cut, i=i, done=done)
        if may.refusals and len(calls) > 1 and calls[0].name == "commit":
            yield f"{name}: the store refuses {what} for now", False, partial(_refuse, i=i)
    if may.crashes:
        for done in range(len(calls) + 1):
            yield f"{name} dies, {done} done", False, partial(_crash, i=i, done=done)
    if is_starting(process):
        return
    for c, channel in enumerate(CHANNELS):
        if kept.queues[c] and not any(call[:2] == ("lease", (channel,)) for call in calls):
            yield f"{name} leases for {channel}", True, partial(_ask, i=i, call=Call("lease", (channel,), "no"))
    if kept.due != NEVER and kept.due <= world.now and not any(call.name in ("due", "again") for call in calls):
        yield f"{name} looks at what is due", True, partial(_ask, i=i, call=Call("due", (), "no"))
    if kept.stream and not any(call.name == "ack" for call in calls):
        yield f"{name} hands a receipt to the ESME", True, partial(_give_receipt, i=i)
    if may.wishes and world.answer == "ok":
        for wish in ("cancel", "replace"):
            yield f"{name} is asked to {wish}", False, partial(_wish, i=i, wish=wish)
    if may.impatience and process.asked == "waiting":
        yield f"{name} refuses the submit, for the store is slow", False, partial(_lose_patience, i=i)
    for hold in process.holds:
        yield from _of_a_channel(world, i, hold)


def _of_a_channel(world: World, i: int, hold: Hold) -> Iterator[Move]:
    channel, failures = hold.channel, world.may.failures

    def comes(what: str, result: AttemptResult, state: str = "", calm: bool = False) -> Move:
        cost = "" if calm or isinstance(result, Accepted) else "failures"
        return f"{channel}: {what}", calm, partial(_result, i=i, hold=hold, result=result, state=state, cost=cost)

    if hold.copy < 0:
        ended = unpack(hold.record).final
        if ended or (channel == "operator" and world.now >= VALID_S):
            yield comes("it has ended and is not written", Unwritten("ended"), calm=True)
            return
        yield f"{channel}: writes it", True, partial(_write, i=i, hold=hold)
        if failures:
            yield comes("its link is lost before it is written", Unwritten("link lost"))
            if channel == "zap":
                yield comes("there is no account", NoAccount("provider"))
                yield comes("it cannot be reached", ChannelDown("provider_down"))
        return
    yield comes("no answer", Uncertain("timeout"), "taken", calm=True)
    yield comes("takes it", Accepted(remote_id(hold.copy, channel)), "taken")
    if failures:
        yield comes("refuses it", Refused("refused"), "refused")
        yield comes("wants it later", TryLater(TICK_S, "throttled"), "refused")


def _reports(world: World) -> Iterator[Move]:
    for number, copy in enumerate(world.copies):
        if copy.state == "refused":
            continue
        named = Report(copy.channel, remote_id(number, copy.channel), Status.SENT)
        yield from _report(world, named)
        yield from _report(world, msgspec.structs.replace(named, status=Status.DELIVERED))
        yield from _report(world, msgspec.structs.replace(named, status=Status.FAILED, state=State.UNDELIVERABLE))
        if copy.channel == "zap":
            yield from _report(world, msgspec.structs.replace(named, status=Status.FAILED, again_s=TICK_S))
            yield from _report(world, msgspec.structs.replace(named, status=Status.DELIVERED, message_id="m"))


def _report(world: World, report: Report, again: bool = False) -> Iterator[Move]:
    how = f"{report.status.value}{' and may try again' if report.again_s >= 0 else ''}{', repeated' if again else ''}"
    how += ", by our id" if report.message_id else ""
    for i, process in enumerate(world.processes):
        if process.up and not is_starting(process):
            what = f"{process.name} hears from {report.channel} of {report.remote_id}: {how}"
            yield what, False, partial(_hear, i=i, report=report, again=again)


def _taken_over(world: World, i: int, calm: bool) -> Iterator[Move]:
    """Another node's view: what this one had is to be looked after."""
    dead = world.processes[i].name
    for j, other in enumerate(world.processes):
        if j == i or not other.up or is_starting(other) or any(call.name == "take_over" for call in other.calls):
            continue
        for node, channel in sorted(world.kept.hands):
            if node == dead:
                call = Call("take_over", (node, channel), "no")
                yield (
                    f"{other.name} takes over {channel} of {node}",
                    calm,
                    partial(_take_over, j=j, call=call, calm=calm),
                )


# -- steps


def _called(call: Call) -> str:
    return f"{call.args[1][0]}" if call.name == "commit" else call.name


def _start(scene: Scene, i: int) -> None:
    scene.gateways[i].start()


def _serve(scene: Scene, i: int) -> None:
    gateway = scene.gateways[i]
    call = gateway.calls.pop(0)
    if scene.said == "refused" and call.name == "lease" and not gateway.refuses:
        scene.said = "window"
    getattr(gateway, f"{call.name}_answered")(*call.args)


def _do_unheard(scene: Scene, i: int, count: int) -> list[Call]:
    """The store does the first so many calls, and nobody hears the answers. All that were on their way."""
    gateway = scene.gateways[i]
    calls = list(gateway.calls)
    for call in calls[:count]:
        before = (
            list(gateway.calls),
            list(gateway.holds),
            gateway.recent,
            gateway.asked,
            scene.said,
            set(scene.arrived),
        )
        if call.name == "commit":
            scene.memory.commit(call.args[0])
        else:
            getattr(gateway, f"{call.name}_answered")(*call.args)
        gateway.calls, gateway.holds, gateway.recent, gateway.asked, scene.said, scene.arrived = before
    return calls


def _cut(scene: Scene, i: int, done: int) -> None:
    gateway = scene.gateways[i]
    gateway.calls = [call for call in _do_unheard(scene, i, done) if call.keep != "no"]
    gateway.calls += [Call("lost", (channel,)) for channel in CHANNELS]
    scene.spend("cuts")


def _crash(scene: Scene, i: int, done: int) -> None:
    gateway = scene.gateways[i]
    for call in _do_unheard(scene, i, done):
        report, told = _report_in(call)
        if report is not None and not told and report not in scene.repeats:
            scene.repeats.append(report)
    for hold in gateway.holds:
        if hold.copy >= 0 and scene.copies[hold.copy].state == "written":
            scene.copies[hold.copy] = scene.copies[hold.copy]._replace(state="taken")
    if scene.said == "refused" and gateway.refuses:
        scene.said = "window"
    gateway.up, gateway.calls, gateway.holds, gateway.recent, gateway.asked = False, [], [], None, ""
    scene.spend("crashes")


def _report_in(call: Call) -> tuple[Report | None, bool]:
    if call.name == "find":
        return call.args
    if call.name == "commit" and call.args[1][0] == "report":
        return call.args[1][1:]
    return None, True


def _refuse(scene: Scene, i: int) -> None:
    calls = scene.gateways[i].calls
    calls.append(calls.pop(0))
    scene.spend("refusals")


def _ask(scene: Scene, i: int, call: Call) -> None:
    scene.gateways[i].calls.append(call)


def _take_over(scene: Scene, j: int, call: Call, calm: bool) -> None:
    scene.gateways[j].calls.append(call)
    if not calm:
        scene.spend("takeovers")


def _give_receipt(scene: Scene, i: int) -> None:
    state = scene.memory.stream[0]
    scene.got = scene.got | {state}
    scene.gateways[i].calls.append(Call("ack", (state,)))


def _wish(scene: Scene, i: int, wish: str) -> None:
    scene.gateways[i].calls.append(Call("read", (wish,), "links"))
    scene.spend("wishes")


def _lose_patience(scene: Scene, i: int) -> None:
    scene.gateways[i].lose_patience()
    scene.spend("impatience")


def _write(scene: Scene, i: int, hold: Hold) -> None:
    gateway = scene.gateways[i]
    gateway.marked = True
    gateway.holds[gateway.holds.index(hold)] = hold._replace(copy=len(scene.copies))
    scene.copies.append(Copy(hold.channel))


def _result(scene: Scene, i: int, hold: Hold, result: AttemptResult, state: str, cost: str) -> None:
    if state:
        scene.copies[hold.copy] = scene.copies[hold.copy]._replace(state=state)
    if cost:
        scene.spend(cost)
    scene.gateways[i].attempted(hold, result)


def _hear(scene: Scene, i: int, report: Report, again: bool) -> None:
    if again:
        scene.repeats.remove(report)
    else:
        scene.spend("reports")
    if report.status is Status.FAILED:
        number = int(report.remote_id[1:])
        scene.copies[number] = scene.copies[number]._replace(failed=True)
    scene.gateways[i].report(report)


def _toggle(scene: Scene) -> None:
    scene.zap_up = not scene.zap_up
    scene.spend("downs")


def _pass(scene: Scene, stalled: bool) -> None:
    scene.now += TICK_S
    unwritten = any(hold.copy < 0 for one in scene.gateways for hold in one.holds)
    scene.kept_back = scene.kept_back or unwritten or not any(one.up for one in scene.gateways)
    if stalled:
        scene.spend("stalls")
