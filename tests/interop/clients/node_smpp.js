// The walk of a client, with the npm package smpp: see tests/interop/walk.py for what it has to do and to say.
// node_smpp.js PORT SYSTEM_ID PASSWORD transceiver SOURCE DEST TEXT...
const smpp = require('smpp');
const [port, systemId, password, mode, source, dest, ...texts] = process.argv.slice(2);

const OCTETS = { ASCII: [160, 153], LATIN1: [140, 134], UCS2: [140, 134] };
const say = (what) => console.log(JSON.stringify(what));
const fail = (why) => { console.error(why); process.exit(1); };
const connect = () => {
  const session = smpp.connect({ url: `smpp://127.0.0.1:${port}` });
  session.on('error', (error) => fail(error.message));
  return session;
};

// The package cuts nothing: a string goes as it is, a long one as Buffers with a header, in the package's own encoding.
function parts(text, reference) {
  const encoding = smpp.encodings.detect(text);
  const octets = smpp.encodings[encoding].encode(text);
  const [whole, size] = OCTETS[encoding];
  if (octets.length <= whole) return [{ short_message: text }];
  const cut = [];
  for (let at = 0; at < octets.length;) {
    let end = Math.min(at + size, octets.length);
    if (end < octets.length && encoding === 'ASCII' && octets[end - 1] === 0x1b) end -= 1;
    if (end < octets.length && encoding === 'UCS2' && (octets[end - 2] & 0xfc) === 0xd8) end -= 2;
    cut.push(octets.subarray(at, end));
    at = end;
  }
  return cut.map((message, i) => ({
    data_coding: smpp.consts.ENCODING[encoding],
    short_message: { udh: Buffer.from([5, 0, 3, reference, cut.length, i + 1]), message },
  }));
}

function walk() {
  const session = connect();
  const ids = new Set();
  const receipts = new Set();
  const done = { submits: 0, replied: false, asked: false, enquired: false };

  const look = () => {
    const everything = ids.size === done.submits && [...ids].every((id) => receipts.has(id));
    if (!everything || !done.replied || !done.asked || !done.enquired) return;
    session.unbind((answer) => {
      say({ unbound: answer.command_status });
      session.close(() => process.exit(0));
    });
  };

  session.on('enquire_link', (pdu) => {
    session.send(pdu.response());
    if (!done.asked) say({ asked: true });
    done.asked = true;
    look();
  });

  session.on('deliver_sm', (pdu) => {
    session.send(pdu.response());
    const body = pdu.short_message.message;
    if (!(pdu.esm_class & 0x3c)) {
      done.replied = true;
      say({ reply: body, source: pdu.source_addr });
      return look();
    }
    const found = /^id:(\S+) .*stat:(\S+) err:(\S+) text:/.exec(body);
    if (!(pdu.esm_class & 0x04) || !found) return fail(`not a receipt: ${body}`);
    if (pdu.receipted_message_id !== found[1]) return fail('the TLV names another message');
    if (pdu.message_state !== smpp.consts.MESSAGE_STATE.DELIVERED) return fail('the TLV tells another state');
    receipts.add(found[1]);
    say({ receipt: found[1], stat: found[2], err: found[3] });
    return look();
  });

  session.bind_transceiver({ system_id: systemId, password }, (pdu) => {
    if (pdu.command_status !== 0) fail(`bind: ${pdu.command_status}`);
    say({ bound: mode });
    session.enquire_link((answer) => {
      say({ enquired: answer.command_status });
      done.enquired = true;
      look();
    });
    texts.flatMap(parts).forEach((part) => {
      done.submits += 1;
      session.submit_sm({
        source_addr: source, dest_addr_ton: 1, dest_addr_npi: 1, destination_addr: dest, registered_delivery: 1, ...part,
      }, (answer) => {
        if (answer.command_status !== 0) fail(`submit_sm: ${answer.command_status}`);
        ids.add(answer.message_id);
        say({ id: answer.message_id });
        look();
      });
    });
  });
}

if (mode !== 'transceiver') fail('this client only binds as a transceiver');
const stranger = connect();
stranger.bind_transceiver({ system_id: systemId, password: 'wr0ng' }, (pdu) => {
  say({ refused: pdu.command_status });
  stranger.close(walk);
});
