// The page of `ws-sip` and SIP.js call each other in a real browser: two user agents that know nothing of each other.
//
// usage: page_sipjs.mjs http://HOST:PORT/

import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

import { callState, close, open, receivesMedia, register, send, sees } from "./browser.mjs";
import { check, finish } from "./check.mjs";

const [url] = process.argv.slice(2);
const LIBRARY = dirname(createRequire(import.meta.url).resolve("sip.js"));
const HTML = '<!DOCTYPE html><link rel="icon" href="data:,"><video id="remote" autoplay></video>';

// SIP.js comes as modules that a browser can load as they are.
const files = createServer(async (request, response) => {
  const path = request.url === "/" ? null : join(LIBRARY, new URL(request.url, "http://localhost").pathname);
  const content = path ? await readFile(path).catch(() => null) : HTML;
  response.writeHead(content === null ? 404 : 200, { "Content-Type": path ? "text/javascript" : "text/html" });
  response.end(content);
}).listen(0, "127.0.0.1");
await once(files, "listening");

// Runs in SIP.js's window: registers as `other` and keeps what happens in `window.events`.
async function startSipJs(server) {
  const { Web } = await import("/index.js");
  window.events = [];
  const put = (event) => window.events.push(event);
  window.user = new Web.SimpleUser(server, {
    aor: "sip:other@127.0.0.1",
    media: { constraints: { audio: true, video: true }, remote: { video: document.getElementById("remote") } },
    delegate: {
      onRegistered: () => put("registered"),
      onCallReceived: () => window.user.answer(),
      onCallAnswered: () => put("answered"),
      onCallHold: (held) => put(held ? "held" : "resumed"),
      onCallHangup: () => put("hung up"),
      onMessageReceived: (text) => put(`text ${text}`),
    },
  });
  await window.user.connect();
  await window.user.register();
}

try {
  const page = await open(url);
  await register(page, "alice");
  const other = await open(`http://127.0.0.1:${files.address().port}/`);
  await other.evaluate(startSipJs, url.replace(/^http/, "ws"));
  // Takes the event out, so that the same one can be awaited again.
  const event = (name) => other.waitForFunction((wanted) => {
    const at = window.events.indexOf(wanted);
    return at >= 0 && window.events.splice(at, 1);
  }, name);
  const doing = (method, ...args) => other.evaluate(([name, given]) => window.user[name](...given), [method, args]);
  await event("registered");

  await check("a text each way", async () => {
    await send(page, "other", "Grüße, 你好 👋");
    await event("text Grüße, 你好 👋");
    await doing("message", "sip:alice@127.0.0.1", "Grüße zurück");
    await sees(page, "in", "Grüße zurück");
  });
  await check("the page calls, SIP.js holds, resumes and hangs up", async () => {
    await page.click("#call-video");
    await Promise.all([callState(page, "active"), event("answered")]);
    await receivesMedia(page);
    await doing("hold");
    await event("held");
    await doing("unhold");
    await event("resumed");
    await receivesMedia(page);
    await doing("hangup");
    await callState(page, "ended");
  });
  await check("SIP.js calls, the page hangs up", async () => {
    await doing("call", "sip:alice@127.0.0.1");
    await callState(page, "incoming");
    await page.click("#answer");
    await Promise.all([callState(page, "active"), event("answered")]);
    await receivesMedia(page);
    await page.click("#hangup");
    await Promise.all([callState(page, "ended"), event("hung up")]);
  });
  await check("SIP.js calls and gives up", async () => {
    await doing("call", "sip:alice@127.0.0.1");
    await callState(page, "incoming");
    await doing("hangup");
    await callState(page, "ended");
    await page.getByText("cancelled the call").waitFor();
  });
} finally {
  await close();
}
finish();
