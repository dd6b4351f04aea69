// The client of npm's `ws` against an `echo_server` of ours.
//
// usage: echo_clients.mjs PLAIN-URL STRICT-URL      (served as for echo_clients.py)

import { once } from "node:events";

import WebSocket from "ws";

import { check, finish, same } from "./check.mjs";

const [plain, strict] = process.argv.slice(2);
const GOOD = "http://good.example";
const MIB = 1 << 20;

async function open(url, protocols = [], options = {}) {
  const ws = new WebSocket(url, protocols, options);
  await once(ws, "open");
  return ws;
}

async function echoed(ws, data) {
  const answer = once(ws, "message");
  ws.send(data);
  const [echo, binary] = await answer;
  same(binary, typeof data !== "string", "binary");
  if (!echo.equals(Buffer.from(data))) throw new Error(`the echo of ${data.length} bytes differs`);
}

// The status with which a server refuses, or 101 when it does not.
function status(url, protocols, options) {
  return new Promise((resolve, reject) => {
    const ws = new WebSocket(url, protocols, options);
    ws.on("unexpected-response", (_, response) => {
      resolve(response.statusCode);
      ws.terminate();
    });
    ws.on("open", () => {
      resolve(101);
      ws.terminate();
    });
    ws.on("error", reject);
  });
}

await check("text and binary of every length class", async () => {
  const ws = await open(plain);
  for (const length of [0, 1, 125, 126, 127, 65535, 65536, 65537, MIB]) {
    await echoed(ws, "x".repeat(length));
    await echoed(ws, Buffer.alloc(length, length % 251));
  }
  await echoed(ws, "Grüße, 你好 👋");
  ws.close();
  await once(ws, "close");
});

await check("fragmented messages, with a Ping between the fragments", async () => {
  const ws = await open(plain);
  const answers = Promise.all([once(ws, "pong"), once(ws, "message")]);
  ws.send("frag", { fin: false });
  ws.ping("between");
  ws.send("men", { fin: false });
  ws.send("ted", { fin: true });
  const [[pong], [echo]] = await answers;
  same([pong.toString(), echo.toString()], ["between", "fragmented"], "answers");
  ws.terminate();
});

await check("every status code that may be sent is answered with the same one", async () => {
  for (const code of [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 4999]) {
    const ws = await open(plain);
    ws.close(code, "Grüße");
    const [answered] = await once(ws, "close");
    same(answered, code, "answer to the Close");
  }
});

await check("a Close without a status code", async () => {
  const ws = await open(plain);
  ws.close();
  const [answered] = await once(ws, "close");
  if (![1000, 1005].includes(answered)) throw new Error(`answered with ${answered}`);
});

await check("a client that vanishes is no harm to the others", async () => {
  const [gone, stays] = [await open(plain), await open(plain)];
  gone.send("x".repeat(MIB));
  gone.terminate();
  await echoed(stays, "still here");
  stays.close();
  await once(stays, "close");
});

await check("1000 messages in flight on each of 20 connections", async () => {
  await Promise.all(Array.from({ length: 20 }, async (_, connection) => {
    const ws = await open(plain);
    const sent = Array.from({ length: 1000 }, (_, i) => `${connection}: ${i} `.padEnd(i, "#"));
    const received = [];
    const all = new Promise((resolve, reject) => {
      ws.on("message", (data) => received.push(data.toString()) === sent.length && resolve());
      ws.on("close", () => reject(new Error("closed early")));
    });
    for (const message of sent) ws.send(message);
    await all;
    same(received, sent, "echoes");
    ws.terminate();
  }));
});

await check("Origin: refused with 403, or let in", async () => {
  same(await status(strict, ["sip"]), 403, "without one");
  same(await status(strict, ["sip"], { origin: "http://evil.example" }), 403, "a foreign one");
  same(await status(strict, ["sip"], { origin: GOOD }), 101, "the allowed one");
});

await check("a version that is not spoken gets 426", async () => {
  same(await status(plain, [], { protocolVersion: 8 }), 426, "answer");
});

await check("a subprotocol that both sides know is agreed on", async () => {
  const ws = await open(strict, ["unknown", "chat"], { origin: GOOD });
  same(ws.protocol, "chat", "subprotocol");
  ws.terminate();
});

await check("a message over the limit gets 1009", async () => {
  const ws = await open(strict, ["sip"], { origin: GOOD });
  await echoed(ws, Buffer.alloc(65536));
  ws.on("error", () => {}); // the connection may go while this is being written
  ws.send(Buffer.alloc(65537));
  const [code] = await once(ws, "close");
  same(code, 1009, "status code");
});

finish();
