// TLS between npm's `ws` and our programs, both ways.
//
// usage: wss.mjs ECHO-SERVER ECHO-CLIENT DIRECTORY    (with ca.pem, certificate.pem and key.pem, for localhost)

import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer } from "node:https";
import { createInterface } from "node:readline";

import WebSocket, { WebSocketServer } from "ws";

import { check, finish, same } from "./check.mjs";

const [echoServer, echoClient, directory] = process.argv.slice(2);
const pem = (name) => `${directory}/${name}.pem`;
const ca = readFileSync(pem("ca"));
const MESSAGES = ["", "x", "Grüße, 你好 👋 ".repeat(5000), Buffer.alloc(0), Buffer.alloc(1 << 20, 7)];

async function echoed(ws) {
  for (const data of MESSAGES) {
    const answer = once(ws, "message");
    ws.send(data);
    const [echo, binary] = await answer;
    same(binary, typeof data !== "string", "binary");
    if (!echo.equals(Buffer.from(data))) throw new Error(`the echo of ${data.length} bytes differs`);
  }
}

for (const flags of [[], ["--deflate"]]) {
  await check(`their client against our server ${flags}`, async () => {
    const words = ["--listen", "127.0.0.1:0", "--tls-cert", pem("certificate"), "--tls-key", pem("key"), ...flags];
    const server = spawn(echoServer, words, { stdio: ["ignore", "pipe", "inherit"] });
    process.on("exit", () => server.kill());
    const [address] = await once(createInterface({ input: server.stdout }), "line");
    const url = `wss://localhost:${address.split(":")[1]}/`;
    const ws = new WebSocket(url, [], { ca });
    await once(ws, "open");
    await echoed(ws);
    ws.close(1000, "done");
    same((await once(ws, "close"))[0], 1000, "status code");
    // Without the authority it is not trusted.
    const untrusting = new WebSocket(url);
    const [error] = await once(untrusting, "error");
    same(typeof error.message, "string", "refused");
    server.kill();
  });
}

await check("our client against their server", async () => {
  const server = createServer({ cert: readFileSync(pem("certificate")), key: readFileSync(pem("key")) });
  const serving = new WebSocketServer({ server, perMessageDeflate: true });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  for (const flags of [[], ["--deflate"]]) {
    const handled = once(serving, "connection").then(async ([ws]) => {
      await echoed(ws);
      ws.close(1000);
    });
    const words = [`wss://localhost:${server.address().port}/`, "--tls-ca", pem("ca"), ...flags];
    const client = spawn(echoClient, words, { stdio: "inherit" });
    const [[status]] = await Promise.all([once(client, "close"), handled]);
    same(status, 0, "exit status");
  }
  server.close();
});

finish();
