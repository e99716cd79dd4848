// An operator's SMSC of the npm package smpp: see tests/interop/test_servers.py for what it has to do and to say.
// node_smsc.js PORT SYSTEM_ID PASSWORD REPLY
// Its submit_sm_resp have ids in hexadecimal, its receipts the same ids in decimal, in the text only.
const smpp = require('smpp');
const [port, systemId, password, reply] = process.argv.slice(2);

const say = (what) => console.log(JSON.stringify(what));
const receivers = new Set();
const throttled = new Map();
let lastId = 0xABC0FFEE;

function partOf(pdu) {
  const header = ((pdu.short_message || {}).udh || []).find((element) => element[0] === 0);
  if (header) return [...header.subarray(2, 5)];
  if (pdu.sar_msg_ref_num === undefined) return null;
  return [pdu.sar_msg_ref_num, pdu.sar_total_segments, pdu.sar_segment_seqnum];
}

function deliver(pdu, what) {
  const [receiver] = receivers;
  receiver.deliver_sm({ source_addr: pdu.destination_addr, destination_addr: pdu.source_addr, ...what[1] }, (answer) => {
    say({ [what[0]]: answer.command_status });
  });
}

function submitted(session, pdu) {
  const dest = pdu.destination_addr;
  const times = (throttled.get(dest) || 0) + 1;
  throttled.set(dest, times);
  const refused = dest.endsWith('88') && times <= 2;
  const text = pdu.message_payload ? pdu.message_payload.message : pdu.short_message.message;
  say({
    submit: text, to: dest, source: pdu.source_addr, part: partOf(pdu), payload: Boolean(pdu.message_payload),
    registered_delivery: pdu.registered_delivery, refused,
  });
  if (refused) {
    session.send(pdu.response({ command_status: smpp.ESME_RTHROTTLED }));
    return;
  }
  lastId += 1;
  const id = lastId;
  session.send(pdu.response({ message_id: id.toString(16).toUpperCase() }));
  setTimeout(() => {
    const date = new Date().toISOString().replace(/\D/g, '').slice(2, 12);
    deliver(pdu, ['receipted', {
      esm_class: smpp.consts.ESM_CLASS.MC_DELIVERY_RECEIPT,
      short_message: `id:${id} sub:001 dlvrd:001 submit date:${date} done date:${date} stat:DELIVRD err:000 text:`,
    }]);
    if (text.endsWith('?')) deliver(pdu, ['replied', { short_message: reply }]);
  }, 100);
}

const server = smpp.createServer((session) => {
  session.on('error', (error) => { console.error(error.message); process.exitCode = 1; });
  session.on('close', () => receivers.delete(session));
  for (const kind of ['bind_transceiver', 'bind_transmitter', 'bind_receiver']) {
    session.on(kind, (pdu) => {
      const right = pdu.system_id === systemId && pdu.password === password;
      const status = right ? smpp.ESME_ROK : smpp.ESME_RINVPASWD;
      say({ bind: kind, status });
      session.send(pdu.response(right ? { system_id: 'NODE' } : { command_status: status }));
      if (!right) { session.close(); return; }
      if (kind !== 'bind_transmitter') receivers.add(session);
      session.enquire_link((answer) => say({ enquired: answer.command_status }));
    });
  }
  session.on('submit_sm', (pdu) => submitted(session, pdu));
  session.on('enquire_link', (pdu) => {
    session.send(pdu.response());
    say({ asked: true });
  });
  session.on('unbind', (pdu) => {
    say({ unbind: true });
    session.send(pdu.response());
    session.close();
  });
  session.on('unknown', (pdu) => { say({ unknown: pdu.command_id }); session.send(pdu.response()); });
});
server.listen(Number(port), '127.0.0.1', () => say({ listening: true }));
process.on('SIGTERM', () => process.exit(0));
