"""What every foreign client does with the gateway, and what has to come of it.

A client is called with PORT SYSTEM_ID PASSWORD MODE SOURCE DEST TEXT... and prints one JSON map for each of these:

- as a transceiver it binds with a wrong password first: {"refused": command_status}
- it binds, once as a transceiver or, in mode "pair", as a transmitter and as a receiver: {"bound": MODE}, each time
- its enquire_link is answered: {"enquired": command_status}
- it submits the texts with receipts asked for, long ones in parts: {"id": message_id} for every answer
- it answers an enquire_link of the gateway: {"asked": true}
- it takes every receipt: {"receipt": message_id, "stat": ..., "err": ...}
- it takes a reply: {"reply": text, "source": who wrote it}
- it unbinds when it has seen all of this: {"unbound": command_status}
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

from gateway.smpp.segments import RawPart, concat_of, join
from tests.end_to_end.stage import PASSWORD, Stage
from tests.end_to_end.test_parts import LONG, LONG_UCS2
from tests.interop import capture
from tests.interop.peer import Peer
from tests.interop.recorder import Recorder
from tools.smsc_simulator import Submit

SOURCE = "28940"
GSM = "Ola Ana, total 10 {8} [ok] ~ 20 € @ $_"
LATIN1 = "Atenção: não há débitos à vista, João!"
UCS2 = "São José: você paga às 9h 😀 ⚡"
SHORT = (GSM, LATIN1, UCS2)
TEXTS = (*SHORT, LONG, LONG_UCS2)
REPLY = "Já paguei a fatura, obrigado 👍 €"
ESME_RINVPASWD = 0x0E
numbers = itertools.count(11977002000)


async def walk(
    stage: Stage,
    wire: Recorder,
    tshark: str | None,
    command: Sequence[str],
    environ: Mapping[str, str] | None = None,
    mode: str = "transceiver",
) -> None:
    """The client walks through all of it; its texts reach a handset by SMS and come back as DELIVRD. tshark, where it
    is there, reads what was said."""
    since = len(wire.chunks)
    to = f"55{next(numbers)}"
    words = [*command, str(wire.port), "billing", PASSWORD, mode, SOURCE, to, *TEXTS]
    with Peer(stage.directory, words, environ) as client:
        await client.until(stage, lambda: len(client.of("id")) >= len(TEXTS), "the texts are taken")
        stage.operator.mo(to, SOURCE, REPLY)
        await client.ends_well(stage)
    binds = 2 if mode == "pair" else 1
    assert client.of("refused") == ([ESME_RINVPASWD] if mode == "transceiver" else [])
    assert client.of("bound") == [mode] * binds
    assert client.of("enquired") == [0] * binds
    assert client.of("asked")
    assert client.of("unbound") == [0] * binds
    ids = client.of("id")
    assert len(set(ids)) == len(ids) > len(TEXTS)
    receipts = [line for line in client.said if "receipt" in line]
    assert {line["receipt"]: (line["stat"], line["err"]) for line in receipts} == dict.fromkeys(ids, ("DELIVRD", "000"))
    assert len(receipts) == len(ids)
    assert [(line["reply"], line["source"]) for line in client.said if "reply" in line] == [(REPLY, to)]
    shown = shown_by_handset([submit for submit in stage.operator.submits if submit.dest == to])
    assert sorted(shown) == sorted(TEXTS)
    assert [text for text in shown if text in SHORT] == list(SHORT)  # a long one waits until it is complete
    if tshark:
        capture.assert_well_formed(stage.directory, wire.chunks[since:], tshark)


def shown_by_handset(submits: Sequence[Submit]) -> list[str]:
    """The texts that a handset puts together from these, in the order of their first parts."""
    texts: dict[object, dict[int, RawPart]] = {}
    for submit in submits:
        part = RawPart(submit.esm_class, submit.data_coding, submit.user_data)
        concat = concat_of(submit.esm_class, submit.user_data)
        key = (concat.kind, concat.ref, concat.total) if concat else object()
        texts.setdefault(key, {})[concat.number if concat else 1] = part
    return [join(parts[number] for number in sorted(parts)) for parts in texts.values()]
