// The edge while its upstream is not there yet, dies, and returns: clients hear so at once and stay connected.
//
// usage: upstream.mjs WS-SIP tcp|udp|ws

import { check, finish, same } from "./check.mjs";
import { client, message, register } from "./node_sip.mjs";
import { HOST, Kamailio, WsSip, freePort, within } from "./servers.mjs";

const [program, transport] = process.argv.slice(2);

const kamailio = new Kamailio(await freePort());
const at = `${HOST}:${kamailio.port}`;
const upstream = transport === "ws" ? `ws://${at}/sip` : `sip:${at};transport=${transport}`;
const edge = await new WsSip("edge", program, "--upstream", upstream, "--mi-http", `${HOST}:0`).start();
const alice = await client("sip:alice@edge.example", edge.url);
const bob = await client("sip:bob@edge.example", edge.url);

let waiting; // what was asked over UDP while nobody was there
const failures = () => edge.server.lines(/ not-opened /).map((line) => Date.parse(line.split(" ", 1)[0]));
const registers = async (each) => same(await register(each), 200, `registration of ${each.uri}`);

async function texts(from, to) {
  const text = `Grüße ${to.texts.length}`;
  same(await message(from, to.uri, text), 200, "MESSAGE");
  same(to.texts.at(-1), text, "text");
}

const retransmissions = async () => {
  return (await edge.manage("get_statistics", "edge:retransmissions"))["edge:retransmissions"];
};

/** While nobody is there, the edge answers; over UDP the request waits, and `waiting` has its end. */
async function withoutUpstream() {
  if (transport !== "udp") {
    same(await register(alice), 503, "registration");
    same(await message(bob, alice.uri, "anyone?"), 503, "MESSAGE");
    return;
  }
  const before = await retransmissions();
  waiting = registers(alice);
  while (await retransmissions() === before) await new Promise((resolve) => setTimeout(resolve, 100));
}

/** Lets it fail three times; the pauses between, in milliseconds, must grow. */
async function backsOff(from, pause) {
  while (failures().length < from + 3) await edge.server.nextLine(/ not-opened /);
  const times = failures().slice(from);
  for (const [i, least] of [pause, 2 * pause].entries()) {
    const found = times[i + 1] - times[i];
    if (found < 0.9 * least) throw new Error(`attempt ${from + i + 2} came after ${found} ms`);
  }
}

const opens = () => edge.server.nextLine(/ (trunk-opened|flow-opened .* resource="")/);

await check("it starts although its upstream refuses connections", async () => {
  await withoutUpstream();
  if (transport !== "udp") await backsOff(0, 250);
});
await check("the upstream starts: requests pass", async () => {
  const opened = transport === "udp" ? edge.connected() : opens();
  await kamailio.start();
  await opened;
  await within(waiting, "what waited");
  for (const each of [alice, bob]) await registers(each);
  await texts(alice, bob);
  await texts(bob, alice);
});

for (const [how, end] of [["dies", () => kamailio.kill()], ["stops", () => kamailio.stop()]]) {
  await check(`the upstream ${how}: clients hear so, and stay connected`, async () => {
    const before = failures().length;
    const closed = transport === "udp" ? null : edge.server.nextLine(/ flow-closed /);
    await end();
    await closed;
    await withoutUpstream();
    if (transport !== "udp") await backsOff(before, 500);
  });
  await check("it returns: requests pass again, over the same connections", async () => {
    const opened = transport === "udp" ? null : opens();
    await kamailio.start();
    await opened;
    await within(waiting, "what waited");
    for (const each of [alice, bob]) {
      same(each.socket.readyState, 1, "the client's connection");
      if (each.socket !== each.ua.transport.ws) throw new Error("the client has another connection");
      await registers(each);
    }
    await texts(alice, bob);
    await texts(bob, alice);
  });
}

if (transport !== "udp") {
  await check("what it leaves unanswered when it dies is answered at once", async () => {
    const forwarded = async () => {
      return (await edge.manage("get_statistics", "edge:requests_up"))["edge:requests_up"];
    };
    const before = await forwarded();
    kamailio.freeze();
    const answers = [message(alice, bob.uri, "anyone?"), message(bob, alice.uri, "anyone?")];
    while (await forwarded() < before + 2) await new Promise((resolve) => setTimeout(resolve, 20));
    const closed = edge.server.nextLine(/ flow-closed /);
    await kamailio.kill();
    await closed;
    same(await within(Promise.all(answers), "the answers"), [503, 503], "MESSAGE");
  });
}

finish();
