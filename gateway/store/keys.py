"""Every key in the store, its shape and how long it lives.

m:{id}                      string  the packed message, see records.py          until final, then store.retention
e:{id}                      string  when its receipt was sent and answered      store.retention
q:{channel}:{priority}      list    "id ordinal" of messages waiting for it     entries checked when they are taken
hand:{node}:{channel}       set     ids in the hands of a node's channel        emptied by the attempt's outcome
due                         zset    id -> when its next step is due             every message that is not final
u:{channel}:{remote_id}     string  our id                                      validity + 48 h
park:{channel}:{remote_id}  string  a report that named no message yet          10 min
parked                      string  there while any report may be parked          10 min
hold:{channel}:{from}:{to}  list    ids that were written and never answered    validity + 1 h
stray:{channel}:{from}:{to} list    remote ids of parked reports                10 min
set:{part key}              hash    part number -> "digest id [id ...]"         parts_timeout * 4
set:{part key}:done         hash    the same of a set that was joined           10 min
parts:{part key}            hash    part number -> id, for reports of only one   validity
r:{account}                 stream  receipts and replies waiting for a bind     receipts_kept
t:{msisdn}                  list    who wrote to this number, newest first      30 days
p:{person}                  string  a channel's evidence, see bridge/presence.py given by the writer
mo:{channel}:{remote_id}    string  an inbound text that was taken              1 day
shapes:{channel}            zset    shape of a text without a template -> count 90 days after the last, 1000 shapes
dup:{account}:{digest}      string  id of the message that had this text first  the account's dedupe
members                     hash    node -> its process, lease and channels     while it is renewed
hands                       set     "node channel kind" of hands that may hold  until the hand is empty
share:{channel}             hash    node -> its share of the rate, until when   1 h
desk:{account}              string  the node that writes its receipts, until    1 day
nodes                       integer incarnations given out                      for ever
numbers                     integer the last one taken for short message ids    for ever
pombo:events                stream  the event feed                              store.events
"""

from __future__ import annotations

DUE = "due"
FEED = "pombo:events"
INCARNATIONS = "nodes"
NUMBERS = "numbers"
MEMBERS, HANDS = "members", "hands"
PARKED_S = 600
LAST_WRITERS_S = 30 * 86400
LAST_WRITERS = 50  # kept per number
REMOTE_ID_AFTER_EXPIRY_S = 48 * 3600


def message(message_id: str) -> str:
    return f"m:{message_id}"


def events(message_id: str) -> str:
    return f"e:{message_id}"


def queue(channel: str, priority: int) -> str:
    return f"q:{channel}:{priority}"


def hand(node: str, channel: str) -> str:
    return f"hand:{node}:{channel}"


def share(channel: str) -> str:
    return f"share:{channel}"


def desk(account: str) -> str:
    return f"desk:{account}"


def remote(channel: str, remote_id: str) -> str:
    return f"u:{channel}:{remote_id}"


def parked(channel: str, remote_id: str) -> str:
    return f"park:{channel}:{remote_id}"


def held(channel: str, source: str, dest: str) -> str:
    return f"hold:{channel}:{source}:{dest}"


def stray(channel: str, source: str, dest: str) -> str:
    return f"stray:{channel}:{source}:{dest}"


def part_set(key: str) -> str:
    return f"set:{key}"


def siblings(key: str) -> str:
    return f"parts:{key}"


def receipts(account: str) -> str:
    return f"r:{account}"


def writers(msisdn: str) -> str:
    return f"t:{msisdn}"


def person(key: str) -> str:
    return f"p:{key}"


def shapes(channel: str) -> str:
    return f"shapes:{channel}"


def repeated(account: str, digest: str) -> str:
    return f"dup:{account}:{digest}"


def inbound(channel: str, remote_id: str) -> str:
    return f"mo:{channel}:{remote_id}"
