// The edge as a WebSocket client of its upstream: what it asks for, what it takes for an answer, and what it does with
// bytes that come with the answer.
//
// usage: ws_client.mjs WS-SIP

import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:net";

import { check, finish, same } from "./check.mjs";
import { client, message, register } from "./node_sip.mjs";
import { HOST, Kamailio, WsSip, within } from "./servers.mjs";

const [program] = process.argv.slice(2);
const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const OPTIONS = [
  "OPTIONS sip:edge@edge.example SIP/2.0", "Via: SIP/2.0/WS upstream.example;branch=z9hG4bK1", "Max-Forwards: 0",
  "From: <sip:upstream@edge.example>;tag=1", "To: <sip:edge@edge.example>", "Call-ID: 1", "CSeq: 1 OPTIONS", "", "",
].join("\r\n");

const PING = Buffer.from([0x89, 2, 0x68, 0x69]); // "hi"

const accept = (key) => createHash("sha1").update(key + GUID).digest("base64");
const swapCase = (text) => text.replace(/[a-z]/gi, (c) => (c === c.toLowerCase() ? c.toUpperCase() : c.toLowerCase()));

/** An answer to the opening handshake; a field of `changed` takes the place of a right one, `null` leaves it out. */
function answer(key, changed = {}, start = "HTTP/1.1 101 Switching Protocols") {
  const fields = {
    "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Accept": accept(key), "Sec-WebSocket-Protocol": "sip",
    ...changed,
  };
  const lines = Object.entries(fields).filter(([, value]) => value !== null).map(([name, value]) => `${name}: ${value}`);
  return Buffer.from([start, ...lines, "", ""].join("\r\n"));
}

/** A final text frame of a server, under 64 KiB. */
function frame(text) {
  const payload = Buffer.from(text);
  const length = payload.length < 126 ? [payload.length] : [126, payload.length >> 8, payload.length & 0xff];
  return Buffer.concat([Buffer.from([0x81, ...length]), payload]);
}

/** The frames of a client that are all there, which must be masked: opcodes and payloads. */
function unframe(bytes) {
  const frames = [];
  while (bytes.length >= 4) {
    if (!(bytes[1] & 0x80)) throw new Error("an unmasked frame");
    const short = bytes[1] & 0x7f;
    const [length, at] = short < 126 ? [short, 2] : [bytes.readUInt16BE(2), 4];
    const end = at + 4 + length;
    if (bytes.length < end) break;
    const key = bytes.subarray(at, at + 4);
    const payload = bytes.subarray(at + 4, end).map((byte, i) => byte ^ key[i % 4]);
    frames.push({ opcode: bytes[0] & 0x0f, text: payload.toString() });
    bytes = bytes.subarray(end);
  }
  return frames;
}

const frameOf = (opcode) => (bytes) => unframe(bytes).find((found) => found.opcode === opcode);

/** A connection of the edge: what it sent so far, whatever that is. */
class Peer {
  bytes = Buffer.alloc(0);

  constructor(socket) {
    this.socket = socket.on("error", () => {}); // it may be reset, which "close" tells
    this.closed = once(socket, "close");
    socket.on("data", (data) => { this.bytes = Buffer.concat([this.bytes, data]); });
    socket.on("end", () => socket.end());
  }

  /** Waits until `find` finds something in what came. */
  async until(find, what) {
    for (;;) {
      const found = find(this.bytes);
      if (found) return found;
      await within(Promise.race([once(this.socket, "data"), this.closed.then(() => {
        throw new Error(`closed before ${what}`);
      })]), what);
    }
  }

  /** The request of the opening handshake, which is taken out. */
  async request() {
    const end = await this.until((bytes) => bytes.indexOf("\r\n\r\n") + 1, "the request");
    const [start, ...lines] = this.bytes.subarray(0, end - 1).toString().split("\r\n");
    this.bytes = this.bytes.subarray(end + 3);
    const fields = Object.fromEntries(lines.map((line) => {
      const colon = line.indexOf(":");
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
    }));
    return { start, fields, key: fields["sec-websocket-key"] };
  }
}

/** A server that hands out its connections in order. */
async function listen() {
  const waiting = [];
  const come = [];
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    const peer = new Peer(socket);
    if (waiting.length > 0) waiting.shift()(peer);
    else come.push(peer);
  }).listen(0, HOST);
  await once(server, "listening");
  const next = () => (come.length > 0 ? come.shift() : new Promise((resolve) => waiting.push(resolve)));
  return { address: `${HOST}:${server.address().port}`, next: () => within(next(), "a connection of the edge") };
}

/** Answers rightly, with `first` right behind the head, `rest` once its Ping is answered; takes the answer to OPTIONS. */
async function converses(peer, first, rest = null) {
  const { key } = await peer.request();
  peer.socket.write(Buffer.concat([answer(key), first]));
  if (rest) {
    await peer.until(frameOf(10), "a Pong");
    peer.socket.write(rest);
  }
  const { text } = await peer.until(frameOf(1), "the answer to OPTIONS");
  if (!text.startsWith("SIP/2.0 200 ")) throw new Error(`answered ${text}`);
}

const WRONG = {
  "an accept value of another key": (key) => answer(key, { "Sec-WebSocket-Accept": accept(`${key}x`) }),
  "an accept value in other case": (key) => answer(key, { "Sec-WebSocket-Accept": swapCase(accept(key)) }),
  "the beginning of the accept value": (key) => answer(key, { "Sec-WebSocket-Accept": accept(key).slice(0, 3) }),
  "no accept value": (key) => answer(key, { "Sec-WebSocket-Accept": null }),
  "no subprotocol": (key) => answer(key, { "Sec-WebSocket-Protocol": null }),
  "another subprotocol": (key) => answer(key, { "Sec-WebSocket-Protocol": "sips" }),
  "an extension that was not asked for": (key) => answer(key, { "Sec-WebSocket-Extensions": "permessage-deflate" }),
  "no Upgrade": (key) => answer(key, { Upgrade: null }),
  "Connection without Upgrade": (key) => answer(key, { Connection: "keep-alive" }),
  "a 200": (key) => answer(key, { "Content-Length": 0 }, "HTTP/1.1 200 OK"),
  "a 302": (key) => answer(key, { "Location": "/", "Content-Length": 0 }, "HTTP/1.1 302 Found"),
  "a 404": (key) => answer(key, { "Content-Length": 0 }, "HTTP/1.1 404 Not Found"),
};

await check("what it asks for", async () => {
  const server = await listen();
  await new WsSip("edge", program, "--upstream", `ws://${server.address}/sip/ws?a=1`).start();
  const { start, fields, key } = await (await server.next()).request();
  same(start, "GET /sip/ws?a=1 HTTP/1.1", "request line");
  same(fields.host, server.address, "Host");
  same(fields.upgrade?.toLowerCase(), "websocket", "Upgrade");
  same(fields.connection?.toLowerCase(), "upgrade", "Connection");
  same(fields["sec-websocket-version"], "13", "version");
  same(fields["sec-websocket-protocol"], "sip", "subprotocol");
  same(Buffer.from(key, "base64").toString("base64"), key, "key, in canonical base64");
  same(Buffer.from(key, "base64").length, 16, "bytes of the key");
});

// Each with an edge of its own, all at once: refused answers are followed by a pause.
const outcomes = Object.entries(WRONG).map(async ([name, wrong]) => {
  const server = await listen();
  const edge = await new WsSip("edge", program, "--upstream", `ws://${server.address}/sip`).start();
  const peer = await server.next();
  const { key } = await peer.request();
  // What a fooled client would take for the first message.
  peer.socket.write(Buffer.concat([wrong(key), frame(OPTIONS)]));
  await within(peer.closed, "the end of the connection");
  same(peer.bytes.length, 0, "bytes after the request");
  await edge.server.line(/ not-opened .*why=/);
  await converses(await server.next(), frame(OPTIONS));
  await edge.stop("SIGKILL");
});
for (const outcome of outcomes) outcome.catch(() => {}); // told in its turn
for (const [at, name] of Object.keys(WRONG).entries()) {
  await check(`${name} is refused, without a frame; the next attempt is answered and works`, () => outcomes[at]);
}

await check("frames that come with the answer, the last one in two pieces", async () => {
  for (const cut of [0, 1, 3, 20]) {
    const server = await listen();
    const edge = await new WsSip("edge", program, "--upstream", `ws://${server.address}/`).start();
    const peer = await server.next();
    const whole = frame(OPTIONS);
    const before = [frame("\r\n"), PING];
    if (cut === 0) await converses(peer, Buffer.concat([...before, whole]));
    else await converses(peer, Buffer.concat([...before, whole.subarray(0, cut)]), whole.subarray(cut));
    same((await peer.until(frameOf(10), "a Pong")).text, "hi", "what the Pong says");
    await edge.stop("SIGKILL");
  }
});

const kamailio = await new Kamailio().start();
const upstream = `ws://${HOST}:${kamailio.port}`;

await check("Kamailio's listener, on its path", async () => {
  const edge = await new WsSip("edge", program, "--upstream", `${upstream}/sip`).start();
  await edge.connected();
  const [alice, bob] = [await client("sip:alice@edge.example", edge.url), await client("sip:bob@edge.example", edge.url)];
  for (const each of [alice, bob]) same(await register(each), 200, "registration");
  same(await message(alice, bob.uri, "Grüße, 你好 👋"), 200, "MESSAGE");
  same(bob.texts, ["Grüße, 你好 👋"], "texts");
});
await check("Kamailio's listener, on another path: 404, and clients hear 503", async () => {
  const edge = await new WsSip("edge", program, "--upstream", `${upstream}/other`).start();
  await edge.server.line(/ not-opened .*404/);
  const alice = await client("sip:alice@edge.example", edge.url);
  same(await register(alice), 503, "registration");
});

finish();
