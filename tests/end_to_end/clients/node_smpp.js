// A transceiver of the npm package smpp: submits one text and waits for its receipt.
// node_smpp.js PORT SYSTEM_ID PASSWORD SOURCE DEST TEXT; prints JSON lines {"id"} and {"receipt", "stat"}.
const smpp = require('smpp');
const [port, systemId, password, source, dest, text] = process.argv.slice(2);

const say = (what) => console.log(JSON.stringify(what));
const fail = (why) => { console.error(why); process.exit(1); };
const session = smpp.connect({ url: `smpp://127.0.0.1:${port}`, auto_enquire_link_period: 10000 });
session.on('error', (error) => fail(error.message));

session.on('deliver_sm', (pdu) => {
  session.send(pdu.response());
  const body = pdu.short_message.message.toString();
  const found = /^id:(\S+) .*stat:(\S+) err:(\S+)/.exec(body);
  if (!(pdu.esm_class & 0x04) || !found) fail(`not a receipt: ${body}`);
  if (pdu.receipted_message_id !== found[1]) fail('the TLV names another message');
  say({ receipt: found[1], stat: found[2] });
  session.unbind(() => { session.close(); process.exit(0); });
});

session.bind_transceiver({ system_id: systemId, password }, (pdu) => {
  if (pdu.command_status !== 0) fail(`bind: ${pdu.command_status}`);
  session.submit_sm({
    source_addr: source,
    dest_addr_ton: 1,
    dest_addr_npi: 1,
    destination_addr: dest,
    registered_delivery: 1,
    short_message: text,
  }, (answer) => {
    if (answer.command_status !== 0) fail(`submit_sm: ${answer.command_status}`);
    say({ id: answer.message_id });
  });
});
