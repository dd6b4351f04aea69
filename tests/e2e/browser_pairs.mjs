// JsSIP and SIP.js in browsers, in all four pairings, through the registrar and proxy in `ws-sip`; then their
// connections end in different ways, and they come back.
//
// usage: browser_pairs.mjs WS-SIP

import { once } from "node:events";

import WebSocket from "ws";

import { Agent, call } from "./agents.mjs";
import { close } from "./browser.mjs";
import { check, finish, same } from "./check.mjs";
import { WsSip, within } from "./servers.mjs";

const [program] = process.argv.slice(2);
const DOMAIN = "example.com";
const TEXT = "Grüße, 你好 👋\r\nsecond line";
const [PING, PONG] = [1, 5]; // seconds: between keepalives, and for their answers

const keepalive = ["--ws-ping-interval", PING, "--ws-pong-timeout", PONG];
const options = [...keepalive, "--ws-compression", "yes", "--mi-http", "127.0.0.1:0"];
const server = await new WsSip("ws-sip", program, ...options).start();

// The first to connect, and so the first to be found silent.
const silent = new WebSocket(server.url, "sip", { origin: "http://page.example", autoPong: false });
const silentEnd = Promise.all([once(silent, "ping"), once(silent, "close")]);

try {
  const open = (kind, name) => Agent.open(kind, name, server.url, DOMAIN);
  const agents = await Promise.all([
    open("JsSIP", "alice"), open("JsSIP", "bob"), open("SIP.js", "carol"), open("SIP.js", "dave"),
  ]);
  const [alice, bob, carol, dave] = agents;
  const comesBack = async (agent, code) => {
    await agent.event(`disconnected ${code}`);
    await agent.event("connected");
    await agent.event("registered");
  };
  // A caller for each of the four pairings, all of them callers and called.
  const pairings = [[alice, bob], [bob, carol], [carol, dave], [dave, alice]];

  await check("all register", async () => {
    for (const agent of agents) {
      await agent.event("connected");
      await agent.do("register");
      await agent.event("registered");
    }
    await server.server.line(/ flow-opened .* extension=permessage-deflate/);
  });
  for (const [at, [from, to]] of pairings.entries()) {
    await check(`${from.kind} to ${to.kind}: OPTIONS, MESSAGE, a call with sound both ways, BYE`, async () => {
      same(await from.do("options", to.uri), 200, "OPTIONS");
      same(await from.do("message", to.uri, `${TEXT} ${from.name}`), 200, "MESSAGE");
      await to.event(`text ${TEXT} ${from.name}`);
      await call(from, to, at % 2 === 0 ? from : to);
    });
  }
  await check("SIP.js's keepalives are answered, one each", async () => {
    for (const agent of [carol, dave]) {
      // They are sent each second or so, however fast the calls went.
      await agent.page.waitForFunction(() => {
        return window.wire.filter(({ direction, data }) => direction === "out" && data === "\r\n\r\n").length >= 2;
      });
      const asked = await agent.messages("out", "\r\n\r\n");
      await agent.page.waitForFunction((count) => {
        return window.wire.filter(({ direction, data }) => direction === "in" && data === "\r\n").length >= count;
      }, asked.length);
    }
  });
  await check("the browsers answer Pings; who does not is gone", async () => {
    await within(silentEnd, "a Ping and the end");
    await server.server.line(/ flow-closed .*pong timeout/);
    for (;;) {
      const { Flows: flows } = await server.manage("ws_list");
      same(flows.length, agents.length, "flows");
      if (flows.every(({ Age: age }) => age > PING + PONG)) break;
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  });

  await check("management closes their connections: they come back and register by themselves", async () => {
    for (const agent of agents) await agent.page.evaluate(() => { window.events = []; });
    const { Flows: flows } = await server.manage("ws_list");
    for (const { Flow: flow } of flows) await server.manage("ws_close", flow);
    await Promise.all(agents.map((agent) => comesBack(agent, 1000)));
    await call(alice, carol, carol);
    await call(dave, bob, bob);
  });
  await check("the server dies and starts again: they come back and register by themselves", async () => {
    for (const agent of agents) await agent.page.evaluate(() => { window.events = []; });
    await server.stop("SIGKILL");
    await Promise.all(agents.map((agent) => agent.event("disconnected 1006")));
    await server.start();
    await Promise.all(agents.map((agent) => Promise.all([agent.event("connected"), agent.event("registered")])));
    for (const [from, to] of pairings) {
      same(await from.do("message", to.uri, `back, ${from.name}?`), 200, "MESSAGE");
      await to.event(`text back, ${from.name}?`);
    }
  });
  await check("who has unregistered is not reached any more", async () => {
    for (const [from, to] of [[alice, carol], [dave, bob]]) {
      await to.do("unregister");
      await to.event("unregistered");
      const status = await from.do("message", to.uri, "still there?");
      if (![404, 480].includes(status)) throw new Error(`${to.name} was answered with ${status}`);
    }
  });
} finally {
  await close();
}
finish();
