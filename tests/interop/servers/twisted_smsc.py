"""An operator's SMSC of smpp.twisted3: see tests/interop/test_servers.py for what it has to do and to say.

twisted_smsc.py PORT SYSTEM_ID PASSWORD REPLY
It runs under a Python of its own, for it wants an older Twisted. Its ids are UUIDs; receipts name them in the text and
in the TLV.
"""

import json
import sys
import time
import uuid
from collections import Counter
from typing import Any

from smpp.pdu import pdu_types
from smpp.pdu.constants import command_status_name_map
from smpp.pdu.operations import DeliverSM, EnquireLink
from smpp.pdu.pdu_types import CommandStatus, EsmClass, EsmClassMode, EsmClassType, MessageState
from smpp.twisted.config import SMPPServerConfig
from smpp.twisted.protocol import DataHandlerResponse, SMPPServerProtocol
from smpp.twisted.server import SMPPServerFactory
from twisted.cred.checkers import InMemoryUsernamePasswordDatabaseDontUse
from twisted.cred.portal import IRealm, Portal
from twisted.internet import reactor
from zope.interface import implementer

port, system_id, password, reply = sys.argv[1:]
UCS2 = pdu_types.DataCoding(scheme=pdu_types.DataCodingScheme.DEFAULT, schemeData=pdu_types.DataCodingDefault.UCS2)
UDHI = pdu_types.EsmClassGsmFeatures.UDHI_INDICATOR_SET
times: Counter[bytes] = Counter()


def say(**what: Any) -> None:
    print(json.dumps(what), flush=True)


@implementer(IRealm)
class Realm:
    def requestAvatar(self, name: str, mind: object, *interfaces: object) -> tuple[object, object, Any]:
        return interfaces[0], name, lambda: None


class Protocol(SMPPServerProtocol):
    """One bind. It tells what the library itself keeps quiet about."""

    def doBindRequest(self, request: Any, state: Any) -> Any:
        done = super().doBindRequest(request, state)
        if self.isBound():
            say(bind=request.id.name, status=0)
            self.sendRequest(EnquireLink(), 10).addCallback(lambda result: say(enquired=0))
        return done

    def sendErrorResponse(self, request: Any, status: Any, name: str) -> None:
        super().sendErrorResponse(request, status, name)
        say(bind=request.id.name, status=number_of(status))

    def onPDURequest_enquire_link(self, request: Any) -> None:
        super().onPDURequest_enquire_link(request)
        say(asked=True)

    def onPDURequest_unbind(self, request: Any) -> None:
        say(unbind=True)
        super().onPDURequest_unbind(request)


class Factory(SMPPServerFactory):
    protocol = Protocol


def number_of(status: Any) -> int:
    return int(command_status_name_map[status.name])


def part_and_text(params: dict[str, Any]) -> tuple[Any, str]:
    octets = params.get("message_payload") or params["short_message"]
    part = None
    if UDHI in params["esm_class"].gsmFeatures:
        header, octets = octets[: octets[0] + 1], octets[octets[0] + 1 :]
        part = list(header[3:6])
    elif params.get("sar_msg_ref_num") is not None:
        part = [params["sar_msg_ref_num"], params["sar_total_segments"], params["sar_segment_seqnum"]]
    return part, octets.decode("utf-16-be" if params["data_coding"] == UCS2 else "ascii")


def submitted(name: str, bind: Any, request: Any) -> Any:
    params = request.params
    dest, source = params["destination_addr"], params["source_addr"]
    times[dest] += 1
    refused = dest.endswith(b"88") and times[dest] <= 2
    part, text = part_and_text(params)
    say(
        submit=text,
        to=dest.decode(),
        source=source.decode(),
        part=part,
        payload=bool(params.get("message_payload")),
        registered_delivery=asks(params["registered_delivery"]),
        refused=refused,
    )
    if refused:
        return CommandStatus.ESME_RTHROTTLED
    message_id = str(uuid.uuid4())
    reactor.callLater(0.1, told, name, source, dest, message_id, text)
    return DataHandlerResponse(CommandStatus.ESME_ROK, message_id=message_id.encode())


def asks(registered: Any) -> int:
    """The octet, as far as it asks for receipts."""
    asked = pdu_types.RegisteredDeliveryReceipt.SMSC_DELIVERY_RECEIPT_REQUESTED
    return int(registered.receipt == asked)


def told(name: str, source: bytes, dest: bytes, message_id: str, text: str) -> None:
    date = time.strftime("%y%m%d%H%M")
    words = f"id:{message_id} sub:001 dlvrd:001 submit date:{date} done date:{date} stat:DELIVRD err:000 text:"
    deliver(
        name,
        "receipted",
        source_addr=dest,
        destination_addr=source,
        esm_class=EsmClass(EsmClassMode.DEFAULT, EsmClassType.SMSC_DELIVERY_RECEIPT),
        short_message=words.encode(),
        receipted_message_id=message_id.encode(),
        message_state=MessageState.DELIVERED,
    )
    if text.endswith("?"):
        octets = reply.encode("utf-16-be")
        deliver(name, "replied", source_addr=dest, destination_addr=source, data_coding=UCS2, short_message=octets)


def deliver(name: str, what: str, **fields: Any) -> None:
    bind = factory.getBoundConnections(name).getNextBindingForDelivery()
    bind.sendDataRequest(DeliverSM(**fields)).addCallbacks(
        lambda result: say(**{what: 0}), lambda failure: say(**{what: failure.getErrorMessage()})
    )


checker = InMemoryUsernamePasswordDatabaseDontUse()
checker.addUser(system_id, password)
config = SMPPServerConfig(systems={system_id: {"max_bindings": 4}}, msgHandler=submitted, enquireLinkTimerSecs=30)
factory = Factory(config, Portal(Realm(), [checker]))
reactor.listenTCP(int(port), factory, interface="127.0.0.1")
reactor.callWhenRunning(say, listening=True)
reactor.run()
