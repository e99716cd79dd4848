"""What must be true of every world."""

from __future__ import annotations

from gateway.messages.states import FINAL, State
from gateway.store.turn import NEVER
from tools.model.memory import CHANNELS, unpack
from tools.model.world import World

AS_PROMISED = (State.DELIVERED, State.DELETED)  # its ESME may cancel it while the word is on its way


def is_over(world: World) -> bool:
    """Nothing is left to do: it has ended and its ESME knows, or nobody was promised anything."""
    kept = world.kept
    busy = any(process.calls or process.holds for process in world.processes if process.up)
    return not busy and kept.due == NEVER and not kept.stream and (not kept.record or bool(kept.record[4]))


def broken(world: World) -> str:
    """The promise that this world breaks; "" when it breaks none."""
    kept = world.kept
    message = unpack(kept.record) if kept.record else None
    if world.answer == "ok" and message is None:
        return "an accepted message is gone"
    if message is not None and not message.final and kept.due == NEVER:
        return "nobody will ever look at an unfinished message"
    if len(kept.ends) > 1:
        return "two final receipts"
    if kept.ends and (message is None or message.state != kept.ends[0]):
        return "its state is another one than its receipt said"
    if message is not None and message.final and not kept.ends:
        return "it ended without a receipt"
    if message is not None and message.final and message.state not in FINAL:
        return "its record is not in the state that its header says"
    for channel in CHANNELS:
        if sum(1 for one in world.copies if one.channel == channel and one.state != "refused" and not one.failed) > 1:
            return f"{channel} was given the text twice"
    if world.copies and message is None:
        return "the text was sent and nobody keeps it"
    if world.copies and world.answer == "refused":
        return "the text was sent although it was refused"
    if len(world.got) > 1:
        return "receipts that contradict each other"
    denied = any(world.copies[int(one[1:])].failed for one in world.arrived)
    if world.promised and not denied and message is not None and message.final and message.state not in AS_PROMISED:
        return "word of its delivery was taken, and it ended otherwise"
    alone = len(world.processes) == 1  # what a dead node's hand held may have been written, as far as another one knows
    if alone and kept.ends == (State.EXPIRED,) and not world.copies and not world.kept_back:
        return "it expired and was never sent, though nothing stood in its way"
    return ""
