// The server of npm's `ws` against an `echo_client` of ours.
//
// usage: echo_servers.mjs ECHO-CLIENT

import { spawn } from "node:child_process";
import { once } from "node:events";

import { WebSocketServer } from "ws";

import { check, finish, same } from "./check.mjs";

const [program] = process.argv.slice(2);
const MIB = 1 << 20;

// Serves one client with `handler` and returns the client's exit status and what it wrote to standard error.
async function served(handler, { flags = [], ...options } = {}) {
  const server = new WebSocketServer({ host: "127.0.0.1", port: 0, maxPayload: 0, ...options });
  await once(server, "listening");
  const handled = once(server, "connection").then(([ws]) => handler(ws));
  const client = spawn(program, [`ws://127.0.0.1:${server.address().port}/`, ...flags], { stdio: ["ignore", "inherit", "pipe"] });
  let errors = "";
  client.stderr.on("data", (data) => { errors += data; });
  try {
    const [[status]] = await Promise.all([once(client, "close"), handled]);
    return { status, errors };
  } finally {
    client.kill();
    server.close();
  }
}

// The next message, as text or as a Buffer.
async function message(ws) {
  const [data, binary] = await once(ws, "message");
  return binary ? data : data.toString();
}

async function echoed(ws, data) {
  ws.send(data);
  const echo = await message(ws);
  const equal = typeof data === "string" ? echo === data : Buffer.isBuffer(echo) && echo.equals(data);
  if (!equal) throw new Error(`the echo of ${data.length} bytes differs`);
}

function clean({ status, errors }) {
  same(status, 0, `exit status, with "${errors}" on standard error`);
}

await check("text and binary of every length class", async () => {
  clean(await served(async (ws) => {
    for (const length of [0, 1, 125, 126, 127, 65535, 65536, 65537, MIB]) {
      await echoed(ws, "x".repeat(length));
      await echoed(ws, Buffer.alloc(length, length % 251));
    }
    await echoed(ws, "Grüße, 你好 👋");
    ws.close(1000, "done");
  }));
});

await check("fragmented messages, with a Ping between the fragments", async () => {
  clean(await served(async (ws) => {
    const pong = once(ws, "pong");
    ws.send("frag", { fin: false });
    ws.ping("between");
    ws.send("men", { fin: false });
    ws.send("ted", { fin: true });
    same(await message(ws), "fragmented", "echo");
    same((await pong)[0].toString(), "between", "Pong");
    ws.close();
  }));
});

await check("a server that offers compression", async () => {
  clean(await served(async (ws) => {
    await echoed(ws, "compress me ".repeat(1000));
    ws.close(1001);
  }, { perMessageDeflate: true }));
});

await check("the status code of the server comes back", async () => {
  for (const code of [1000, 1001, 1011, 3000, 4999]) {
    let answered;
    clean(await served(async (ws) => {
      ws.close(code, "Grüße");
      [answered] = await once(ws, "close");
    }));
    same(answered, code, "answer to the Close");
  }
});

await check("a subprotocol is agreed on", async () => {
  let agreed;
  clean(await served(async (ws) => {
    agreed = ws.protocol;
    ws.close();
  }, { flags: ["--subprotocol", "sip"], handleProtocols: (offered) => (offered.has("sip") ? "sip" : false) }));
  same(agreed, "sip", "subprotocol");
});

await check("a server that terminates is a failure", async () => {
  const { status, errors } = await served(async (ws) => ws.terminate());
  same(status, 1, "exit status");
  if (!errors.trim() || errors.includes("panicked")) throw new Error(`no reason on standard error: ${errors}`);
});

finish();
