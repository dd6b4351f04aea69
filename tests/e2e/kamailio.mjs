// Two edges that do not know each other in front of one Kamailio: JsSIP behind the one, SIP.js behind the other.
//
// usage: kamailio.mjs WS-SIP tcp|udp|ws

import { Agent, call } from "./agents.mjs";
import { close } from "./browser.mjs";
import { check, finish, same } from "./check.mjs";
import { values } from "./messages.mjs";
import { HOST, Kamailio, WsSip } from "./servers.mjs";

const [program, transport] = process.argv.slice(2);
const DOMAIN = "edge.example";
const TEXT = "Grüße, 你好 👋\r\nsecond line";

const kamailio = await new Kamailio().start();
const at = `${HOST}:${kamailio.port}`;
const upstream = transport === "ws" ? `ws://${at}/sip` : `sip:${at};transport=${transport}`;
const edge = (name) => new WsSip(name, program, "--upstream", upstream).start();

/** An address of an edge: its token, where the other side reaches it, and the parameters. */
function parse(value) {
  const parts = /^<sip:([\w-]+)@([\d.]+:\d+);([^>]+)>$/.exec(value);
  if (!parts) throw new Error(`not an address of an edge: ${value}`);
  return { token: parts[1], host: parts[2], parameters: parts[3].split(";").sort().join(";") };
}

try {
  const edges = await Promise.all([edge("edge-a"), edge("edge-b")]);
  await Promise.all(edges.map((each) => each.connected()));
  const [alice, bob] = await Promise.all([
    Agent.open("JsSIP", "alice", edges[0].url, DOMAIN),
    Agent.open("SIP.js", "bob", edges[1].url, DOMAIN),
  ]);
  const both = [alice, bob];
  const paths = new Map(); // of the agents

  // What the registrar keeps, as its answer tells (RFC 3327, section 5.3).
  const learnPath = async (agent) => {
    const answers = await agent.messages("in", "SIP/2.0 200");
    const answer = answers.filter((message) => /^CSeq: *\d+ REGISTER/im.test(message)).at(-1);
    const path = values(answer, "Path");
    same(path.length, 1, `Path of ${agent.name}`);
    const { token, host, parameters } = parse(path[0]);
    same(parameters, ["lr", "ob", `transport=${transport}`].sort().join(";"), "its parameters");
    same(values(answer, "Require"), ["outbound"], "what the registrar did (RFC 5626, section 6)");
    same(values(answer, "Contact").length, 1, `bindings of ${agent.name}`);
    paths.set(agent, { token, host });
  };

  await check("both register, with one Path of their edge each", async () => {
    for (const agent of both) {
      await agent.event("connected");
      await agent.do("register");
      await agent.event("registered");
      await learnPath(agent);
    }
    if (paths.get(alice).host === paths.get(bob).host) throw new Error("the edges are one");
  });
  await check("OPTIONS and MESSAGE, not only ASCII, from one edge to the other and back", async () => {
    for (const [from, to] of [[alice, bob], [bob, alice]]) {
      same(await from.do("options", to.uri), 200, "OPTIONS");
      same(await from.do("message", to.uri, `${TEXT} ${from.name}`), 200, "MESSAGE");
      await to.event(`text ${TEXT} ${from.name}`);
    }
  });
  await check("a message to nobody gets the 404 of the upstream", async () => {
    same(await alice.do("message", `sip:nobody@${DOMAIN}`, "anyone?"), 404, "MESSAGE");
  });
  await check("a call, ended by who called", () => call(alice, bob, alice));
  await check("each edge is in the route twice, once for each transport", async () => {
    const invite = (await bob.messages("in", "INVITE ")).at(-1);
    const routes = values(invite, "Record-Route");
    const [toBob, fromKamailio, toKamailio, fromAlice] = [routes[0], routes[1], routes.at(-2), routes.at(-1)].map(parse);
    for (const own of [toBob, fromAlice]) same(own.parameters, "lr;r2=on;transport=ws", "towards the browser");
    for (const own of [fromKamailio, toKamailio]) {
      same(own.parameters, `lr;r2=on;transport=${transport}`, "towards the upstream");
    }
    same([toBob.host, fromAlice.host], [`${HOST}:${edges[1].port}`, `${HOST}:${edges[0].port}`], "where the browsers are");
    for (const [agent, pair] of [[alice, [toKamailio, fromAlice]], [bob, [toBob, fromKamailio]]]) {
      for (const { token } of pair) same(token, paths.get(agent).token, `the token of ${agent.name}`);
    }
    same(values(invite, "Route"), [], "Route, of which the Path was all");
    same(values(invite, "Via").length, 4, "elements on the way");
  });
  await check("a call the other way, ended by who was called", () => call(bob, alice, alice));
  await check("a call, ended by who was called", () => call(alice, bob, bob));

  await check("an edge starts again: its browser comes back, with a new Path, and calls", async () => {
    await bob.page.evaluate(() => { window.events = []; });
    await edges[1].stop("SIGKILL");
    await bob.event("disconnected 1006");
    await edges[1].start();
    await edges[1].connected();
    await bob.event("connected");
    await bob.event("registered");
    const before = paths.get(bob);
    await learnPath(bob);
    if (paths.get(bob).token === before.token) throw new Error("the token of another key");
    same(await alice.do("message", bob.uri, "back?"), 200, "MESSAGE");
    await bob.event("text back?");
    await call(bob, alice, bob);
    await call(alice, bob, bob);
  });
  await check("the other edge, ended in order", async () => {
    await alice.page.evaluate(() => { window.events = []; });
    same(await edges[0].stop("SIGTERM"), [0, null], "its end");
    await alice.event("disconnected 1001");
    await edges[0].start();
    await edges[0].connected();
    await alice.event("connected");
    await alice.event("registered");
    await learnPath(alice);
    await call(alice, bob, bob);
  });
  await check("who has unregistered is not found any more", async () => {
    await bob.do("unregister");
    await bob.event("unregistered");
    same(await alice.do("message", bob.uri, "still there?"), 404, "MESSAGE");
  });
} finally {
  await close();
}
finish();
