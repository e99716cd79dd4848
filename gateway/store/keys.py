"""Every key in the store, its shape and how long it lives.

m:{id}                      string  the packed message, see records.py          until final, then store.retention
q:{channel}:{priority}      list    "id ordinal" of messages waiting for it     entries checked when they are taken
hand:{node}:{channel}       set     ids in the hands of a node's channel        emptied by the attempt's outcome
due                         zset    id -> when its next step is due             every message that is not final
ids:{channel}:{day}         hash    a channel's id -> ours                      validity + 3 days
park:{channel}:{remote_id}  string  a report that named no message yet          10 min
parked                      string  there while any report may be parked          10 min
hold:{channel}:{from}:{to}  list    ids written without an answer, or an id in it    validity + 1 h
stray:{channel}:{from}:{to} list    remote ids of parked reports                10 min
set:{part key}              hash    part number -> "digest id [id ...]"         parts_timeout * 4
set:{part key}:done         hash    the same of a set that was joined           10 min
parts:{part key}            hash    part number -> id, for reports of only one   validity
r:{account}                 stream  receipts and replies waiting for a bind     receipts_kept
writers:{day}               zset    who wrote to which number, see records.written      store.writers
told:{day}                  hash    id -> when its receipt was sent, answered   store.retention + 1 day
p:{person}                  string  a channel's evidence, see bridge/presence.py given by the writer
mo:{channel}:{remote_id}    string  an inbound text that was taken              1 day
shapes:{channel}            zset    shape of a text without a template -> count 90 days after the last, 1000 shapes
dup:{account}:{digest}      string  id of the message that had this text first  the account's dedupe
members                     hash    node -> its process, lease and channels     while it is renewed
hands                       set     "node channel kind" of hands that may hold  until the hand is empty
share:{rate}                hash    node -> its share of the rate, until when   1 h
desk:{account}              string  the node that writes its receipts, until    1 day
erasures                    zset    person -> when they were erased, for other processes 10 min
format                      string  the store's format, and who brought it to it  for ever
nodes                       integer incarnations given out                      for ever
purpose                     string  live, or dry_run                            for ever
numbers                     integer the last one taken for short message ids    for ever
pombo:events                stream  the event feed                              store.events

{day} is that of the writing, in days since the epoch. What there is one of for each message is gathered in one key a
day, so that a whole batch of it is one command, and goes with its day. The first builds gave each a key of its own,
which is still read: u:{channel}:{remote_id}, t:{msisdn} (list, newest first) and e:{id}.

Beside people's evidence stands what all nodes used of a channel's limits: p:{channel}:#sends and #lookups (use.lua),
and #budget (spend.lua).
"""

from __future__ import annotations

DAY_S = 86400
DUE = "due"
FEED = "pombo:events"
FORMAT = "format"
ERASURES = "erasures"
INCARNATIONS, PURPOSE = "nodes", "purpose"
NUMBERS = "numbers"
MEMBERS, HANDS = "members", "hands"
PARKED_S = 600
WRITERS_DAYS = 30  # store.writers, unless it says otherwise
MOST_WRITERS = 10_000  # to a number that are looked at, the last ones
REMOTE_ID_DAYS_AFTER_EXPIRY = 3
LEAST_REMOTE_ID_DAYS = 9  # looked through, however short the validity is by now


def message(message_id: str) -> str:
    return f"m:{message_id}"


def told(day: int) -> str:
    return f"told:{day}"


def queue(channel: str, priority: int) -> str:
    return f"q:{channel}:{priority}"


def hand(node: str, channel: str) -> str:
    return f"hand:{node}:{channel}"


def share(rate: str) -> str:
    return f"share:{rate}"


def desk(account: str) -> str:
    return f"desk:{account}"


def remote_ids(channel: str, day: int) -> str:
    return f"ids:{channel}:{day}"


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


def writers(day: int) -> str:
    return f"writers:{day}"


def person(key: str) -> str:
    return f"p:{key}"


def shapes(channel: str) -> str:
    return f"shapes:{channel}"


def repeated(account: str, digest: str) -> str:
    return f"dup:{account}:{digest}"


def inbound(channel: str, remote_id: str) -> str:
    return f"mo:{channel}:{remote_id}"
