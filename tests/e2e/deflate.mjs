// permessage-deflate between npm's `ws` and our programs, both ways.
//
// usage: deflate.mjs ECHO-SERVER ECHO-CLIENT

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

import WebSocket, { WebSocketServer } from "ws";

import { check, finish, same } from "./check.mjs";

const [echoServer, echoClient] = process.argv.slice(2);
const MIB = 1 << 20;
const MESSAGES = [
  "", "x", "Grüße, 你好 👋 ".repeat(1000), "x".repeat(65_536), "the same again", "the same again",
  Buffer.alloc(0), Buffer.alloc(MIB), Buffer.from(Array.from({ length: 5000 }, (_, at) => at * at % 253)),
];

// What was agreed on, which `ws` keeps to itself.
function parameters(ws) {
  same(ws.extensions, "permessage-deflate", "extensions");
  const agreed = ws._extensions["permessage-deflate"].params;
  return [!!agreed.server_no_context_takeover, !!agreed.client_no_context_takeover,
    agreed.server_max_window_bits ?? 15, agreed.client_max_window_bits ?? 15];
}

async function echoed(ws) {
  for (const data of MESSAGES) {
    const answer = once(ws, "message");
    ws.send(data, { compress: true });
    const [echo, binary] = await answer;
    same(binary, typeof data !== "string", "binary");
    if (!echo.equals(Buffer.from(data))) throw new Error(`the echo of ${data.length} bytes differs`);
  }
}

const CHOICES = [
  {},
  { serverNoContextTakeover: true },
  { clientNoContextTakeover: true },
  { serverNoContextTakeover: true, clientNoContextTakeover: true },
  { serverMaxWindowBits: 9 },
  { clientMaxWindowBits: 10 },
  { serverMaxWindowBits: 11, clientMaxWindowBits: 9, serverNoContextTakeover: true },
];

const expected = (choice) => [choice.serverNoContextTakeover ?? false, choice.clientNoContextTakeover ?? false,
  choice.serverMaxWindowBits ?? 15, choice.clientMaxWindowBits ?? 15];

const server = spawn(echoServer, ["--listen", "127.0.0.1:0", "--deflate"], { stdio: ["ignore", "pipe", "inherit"] });
process.on("exit", () => server.kill());
const [address] = await once(createInterface({ input: server.stdout }), "line");

for (const choice of CHOICES) {
  await check(`their client asks for ${JSON.stringify(choice)}`, async () => {
    const ws = new WebSocket(`ws://${address}/`, [], { perMessageDeflate: { threshold: 0, ...choice } });
    await once(ws, "open");
    same(parameters(ws), expected(choice), "parameters");
    await echoed(ws);
    ws.close(1000);
    await once(ws, "close");
  });
}

for (const choice of CHOICES) {
  await check(`their server wants ${JSON.stringify(choice)}`, async () => {
    const options = { host: "127.0.0.1", port: 0, perMessageDeflate: { threshold: 0, ...choice } };
    const serving = new WebSocketServer(options);
    await once(serving, "listening");
    const handled = once(serving, "connection").then(async ([ws]) => {
      same(parameters(ws), expected(choice), "parameters");
      await echoed(ws);
      ws.close(1000);
    });
    const client = spawn(echoClient, [`ws://127.0.0.1:${serving.address().port}/`, "--deflate"], { stdio: "inherit" });
    const [[status]] = await Promise.all([once(client, "close"), handled]);
    same(status, 0, "exit status");
    serving.close();
  });
}

server.kill();
finish();
