// sipp over UDP and SIP.js behind an edge: what gets lost on the way is said again, by whom RFC 3261 says, and only then.
//
// usage: sipp.mjs WS-SIP

import { createSocket } from "node:dgram";
import { once } from "node:events";

import { check, finish, same } from "./check.mjs";
import { values } from "./messages.mjs";
import { client, invite, reaches, register } from "./node_sip.mjs";
import { HOST, Kamailio, Sipp, WsSip, freePort, within } from "./servers.mjs";

const [program] = process.argv.slice(2);
const DOMAIN = "edge.example";
// Of one request in a scenario of sipp's, whose longest pause is 1.8 s: three at 0, 0.5 and 1.5 s, and one more where sipp is
// late. The times themselves are not held against anybody here: sipp may be late to see a request. The unit tests have them.
const MOST = 4;

/** How often a request came, which must have been the same each time, and not as often as without a pause. */
function count(messages, method) {
  const came = messages.filter(({ isReceived, text }) => isReceived && text.startsWith(`${method} `));
  for (const { text } of came) same(text, came[0].text, `${method} that came again`);
  if (came.length > MOST) throw new Error(`${method} came ${came.length} times`);
  return came.length;
}

async function calls(from, target) {
  const { session, answered } = invite(from, target);
  same(await within(answered, "an answer"), 200, "answer to the INVITE");
  await within(reaches(session, "Established"), "the call");
  session.bye();
  await within(reaches(session, "Terminated"), "the end of the call");
}

const retransmissions = async (edge) => {
  return (await edge.manage("get_statistics", "edge:retransmissions"))["edge:retransmissions"];
};

const port = await freePort();
const upstream = `sip:${HOST}:${port};transport=udp`;
const edge = await new WsSip("edge", program, "--upstream", upstream, "--mi-http", `${HOST}:0`).start();
await edge.connected();
const alice = await client(`sip:alice@${DOMAIN}`, edge.url);

let again = 0;
await check("INVITE and BYE come again until they are answered", async () => {
  const sipp = await new Sipp("answers", port).listening();
  await calls(alice, `sip:sipp@${DOMAIN}`);
  const messages = await sipp.messages();
  for (const method of ["INVITE", "BYE"]) {
    const times = count(messages, method);
    if (times < 2) throw new Error(`${method} came ${times} times`);
    again += times - 1;
  }
  // The browser's side is reliable: it answers each 200 that comes, and there was one at least.
  if (count(messages, "ACK") < 1) throw new Error("no ACK");
});

await check("an answer that comes again gets its ACK again, from the edge", async () => {
  const sipp = await new Sipp("declines", port).listening();
  const { answered } = invite(alice, `sip:sipp@${DOMAIN}`);
  same(await within(answered, "an answer"), 486, "answer to the INVITE");
  const before = alice.received.length;
  const acks = count(await sipp.messages(), "ACK");
  if (acks < 2) throw new Error(`only ${acks} ACKs`);
  same(alice.received.length - before, 0, "further messages to the client");
});

await check("sipp calls; an INVITE that comes again goes no further", async () => {
  // The registrar that learns the Path, before sipp takes its place.
  const registrar = createSocket("udp4").bind(port, HOST);
  await once(registrar, "listening");
  const heard = once(registrar, "message");
  const registered = register(alice);
  const [message, from] = await within(heard, "REGISTER");
  const lines = message.toString().split("\r\n\r\n", 1)[0].split("\r\n").slice(1);
  const copied = lines.filter((line) => /^(Via|From|To|Call-ID|CSeq|Contact|Path):/i.test(line));
  registrar.send(["SIP/2.0 200 OK", ...copied, "Content-Length: 0", "", ""].join("\r\n"), from.port, from.address);
  same(await registered, 200, "registration");
  registrar.close();
  await once(registrar, "close");

  const [path] = values(message.toString(), "Path");
  const target = ["-s", `alice@${DOMAIN}`, `${from.address}:${from.port}`];
  const sipp = new Sipp("calls", port, "-key", "extra", `Route: ${path}`, "-set", "again", "1", ...target);
  const invitation = await within(alice.called, "a call");
  await within(reaches(invitation, "Terminated"), "its end");
  await sipp.messages();
  same(alice.received.filter((text) => text.startsWith("INVITE ")).length, 1, "INVITEs to the client");
});

await check("the edge counted what it sent again", async () => {
  const counted = await retransmissions(edge);
  if (counted < again) throw new Error(`${counted}, and sipp saw ${again}`);
});

const kamailio = await new Kamailio().start();
const behind = await new WsSip("edge", program, "--upstream", `sip:${HOST}:${kamailio.port};transport=udp`).start();
await behind.connected();
const bob = await client(`sip:bob@${DOMAIN}`, behind.url);
same(await register(bob), 200, "registration of bob");

await check("through Kamailio: a call to sipp", async () => {
  const own = await freePort();
  const sipp = await new Sipp("answers", own).listening();
  await calls(bob, `sip:sipp@${HOST}:${own}`);
  if (count(await sipp.messages(), "BYE") < 2) throw new Error("BYE came once");
});

await check("through Kamailio: a call from sipp", async () => {
  const target = ["-s", `bob@${DOMAIN}`, `${HOST}:${kamailio.port}`];
  const sipp = new Sipp("calls", await freePort(), "-key", "extra", "Subject: a call", ...target);
  const invitation = await within(bob.called, "a call");
  await within(reaches(invitation, "Terminated"), "its end");
  await sipp.messages();
  same(bob.received.filter((text) => text.startsWith("INVITE ")).length, 1, "INVITEs to the client");
});

finish();
