// JsSIP and SIP.js, as browsers run them, through a `ws-sip` of ours.
//
// usage: sip_clients.mjs WS-SIP [ARGUMENT ...]
//
// The program is started with the arguments and `--socket ws:127.0.0.1:0`; its first line of standard output names the
// port. Calls are set up with empty session descriptions: media need a browser, which is page.mjs.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

import JsSIP from "jssip";
import * as SIP from "sip.js";

import { check, finish, same } from "./check.mjs";
import { noMedia, reaches } from "./node_sip.mjs";

const [program, ...args] = process.argv.slice(2);
const HOST = "127.0.0.1";
const TEXT = "Grüße, 你好 👋\r\nsecond line";

const server = spawn(program, [...args, "--socket", `ws:${HOST}:0`], { stdio: ["ignore", "pipe", "inherit"] });
process.on("exit", () => server.kill("SIGKILL"));
const serverEnd = once(server, "exit");
const [line] = await Promise.race([
  once(createInterface({ input: server.stdout }), "line"),
  serverEnd.then(([status]) => { throw new Error(`the server ended with status ${status}`); }),
]);
const port = /^listening on ws:127\.0\.0\.1:(\d+)$/.exec(line)?.[1];
if (!port) throw new Error(`unexpected first line: ${line}`);
const url = `ws://${HOST}:${port}/`;

// What comes in, to be taken out in order, waiting when there is nothing yet.
class Inbox {
  #items = [];
  #waiting = [];

  put(item) {
    const take = this.#waiting.shift();
    if (take) take(item);
    else this.#items.push(item);
  }

  take() {
    return this.#items.length > 0 ? Promise.resolve(this.#items.shift()) : new Promise((take) => this.#waiting.push(take));
  }
}

// One interface for both libraries: `options` and `message` return the final status code, `texts` holds what came in,
// `disconnected` resolves with the close code when the server is gone.

class JsSipClient {
  texts = new Inbox();

  constructor(name) {
    this.uri = `sip:${name}@${HOST}`;
    this.ua = new JsSIP.UA({
      sockets: [new JsSIP.WebSocketInterface(url)], uri: this.uri, register: false, register_expires: 120,
    });
    this.ua.on("newMessage", ({ originator, request }) => originator === "remote" && this.texts.put(request.body));
    this.ua.on("newOptions", () => {}); // with a listener it answers 200 by itself
    this.disconnected = new Promise((resolve) => this.ua.on("disconnected", ({ code }) => resolve(code)));
  }

  async connect() {
    const connected = new Promise((resolve) => this.ua.once("connected", resolve));
    this.ua.start();
    await connected;
  }

  register() {
    return this.#registration("registered", () => this.ua.register());
  }

  unregister() {
    return this.#registration("unregistered", () => this.ua.unregister());
  }

  #registration(event, start) {
    return new Promise((resolve, reject) => {
      this.ua.once(event, resolve);
      this.ua.once("registrationFailed", ({ cause }) => reject(new Error(`registration failed: ${cause}`)));
      start();
    });
  }

  options(target) {
    return this.#outcome((eventHandlers) => this.ua.sendOptions(target, null, { eventHandlers }));
  }

  message(target, text) {
    return this.#outcome((eventHandlers) => this.ua.sendMessage(target, text, { eventHandlers }));
  }

  #outcome(start) {
    return new Promise((resolve, reject) => start({
      succeeded: ({ response }) => resolve(response.status_code),
      failed: ({ response, cause }) => (response ? resolve(response.status_code) : reject(new Error(cause))),
    }));
  }

  stop() {
    this.ua.stop();
  }
}

class SipJsClient {
  texts = new Inbox();
  calls = new Inbox();

  constructor(name) {
    this.uri = `sip:${name}@${HOST}`;
    this.disconnected = new Promise((resolve) => { this.learnEnd = resolve; });
    this.ua = new SIP.UserAgent({
      uri: SIP.UserAgent.makeURI(this.uri),
      transportOptions: { server: url, keepAliveInterval: 1 },
      logBuiltinEnabled: false,
      sessionDescriptionHandlerFactory: noMedia,
      delegate: {
        onMessage: (message) => {
          this.texts.put(message.request.body);
          message.accept();
        },
        onInvite: (invitation) => this.calls.put(invitation),
        onDisconnect: (error) => this.learnEnd(Number(/code: (\d+)/.exec(error?.message)?.[1])),
      },
    });
    this.registerer = new SIP.Registerer(this.ua, { expires: 120 });
  }

  connect() {
    return this.ua.start();
  }

  register() {
    return this.#registration(() => this.registerer.register(this.#registrationDelegate()));
  }

  unregister() {
    return this.#registration(() => this.registerer.unregister(this.#registrationDelegate()));
  }

  #registrationDelegate() {
    return {
      requestDelegate: {
        onAccept: () => this.settle.resolve(),
        onReject: ({ message }) => this.settle.reject(new Error(`registration failed: ${message.statusCode}`)),
      },
    };
  }

  #registration(start) {
    return new Promise((resolve, reject) => {
      this.settle = { resolve, reject };
      start();
    });
  }

  options(target) {
    const { userAgentCore: core } = this.ua;
    const uri = SIP.UserAgent.makeURI(target);
    const request = core.makeOutgoingRequestMessage("OPTIONS", uri, this.ua.configuration.uri, uri, {});
    return this.#outcome((delegate) => core.request(request, delegate));
  }

  message(target, text) {
    const messager = new SIP.Messager(this.ua, SIP.UserAgent.makeURI(target), text, "text/plain");
    return this.#outcome((requestDelegate) => messager.message({ requestDelegate }));
  }

  #outcome(start) {
    return new Promise((resolve) => {
      const answered = ({ message }) => resolve(message.statusCode);
      start({ onAccept: answered, onReject: answered, onRedirect: answered });
    });
  }

  stop() {
    return this.ua.stop();
  }
}

const jssip = new JsSipClient("jssip");
const jssip2 = new JsSipClient("jssip-2");
const sipjs = new SipJsClient("sipjs");
const sipjs2 = new SipJsClient("sipjs-2");
const clients = [jssip, jssip2, sipjs, sipjs2];

await check("all connect and register", async () => {
  for (const client of clients) {
    await client.connect();
    await client.register();
  }
});

await check("OPTIONS to the server and to each other", async () => {
  same(await sipjs.options(`sip:${HOST}`), 200, "SIP.js to the server"); // JsSIP cannot name a host alone
  for (const from of clients) {
    const others = clients.filter((client) => client !== from);
    for (const to of others) same(await from.options(to.uri), 200, `${from.uri} to ${to.uri}`);
  }
});

await check("MESSAGE between all pairs, not only ASCII", async () => {
  for (const from of clients) {
    for (const to of clients.filter((client) => client !== from)) {
      same(await from.message(to.uri, `${TEXT} ${from.uri}`), 200, `${from.uri} to ${to.uri}`);
      same(await to.texts.take(), `${TEXT} ${from.uri}`, `text from ${from.uri} to ${to.uri}`);
    }
  }
});

await check("MESSAGE of 8 kB", async () => {
  const text = "ü".repeat(4000);
  same(await jssip.message(sipjs.uri, text), 200, "answer");
  same(await sipjs.texts.take(), text, "text");
});

await check("100 MESSAGEs in flight", async () => {
  const texts = Array.from({ length: 100 }, (_, i) => `number ${i}`);
  const statuses = Promise.all(texts.map((text) => sipjs.message(jssip.uri, text)));
  const received = [];
  for (const _ of texts) received.push(await jssip.texts.take());
  same(received, texts, "texts");
  same(new Set(await statuses).size, 1, "number of different answers");
});

await check("MESSAGE to somebody unknown gets 404", async () => {
  same(await jssip.message(`sip:nobody@${HOST}`, "anyone?"), 404, "JsSIP");
  same(await sipjs.message(`sip:nobody@${HOST}`, "anyone?"), 404, "SIP.js");
});

await check("a registration is refreshed", async () => {
  await sipjs.register(); // JsSIP refreshes without an event that tells of it
});

await check("a call is made, answered and ended by either side", async () => {
  for (const [hangs, other] of [[0, 1], [1, 0]]) {
    const inviter = new SIP.Inviter(sipjs.ua, SIP.UserAgent.makeURI(sipjs2.uri));
    let ringing;
    const rang = new Promise((resolve) => { ringing = resolve; });
    await inviter.invite({ requestDelegate: { onProgress: ({ message }) => message.statusCode === 180 && ringing() } });
    const invitation = await sipjs2.calls.take();
    await invitation.progress();
    await rang;
    await invitation.accept();
    await Promise.all([reaches(inviter, "Established"), reaches(invitation, "Established")]);
    const sessions = [inviter, invitation];
    await sessions[hangs].bye();
    await reaches(sessions[other], "Terminated");
  }
});

await check("a call is cancelled", async () => {
  const inviter = new SIP.Inviter(sipjs.ua, SIP.UserAgent.makeURI(sipjs2.uri));
  const rejected = new Promise((resolve) => {
    inviter.invite({ requestDelegate: { onReject: ({ message }) => resolve(message.statusCode) } });
  });
  const invitation = await sipjs2.calls.take();
  await inviter.cancel();
  await reaches(invitation, "Terminated");
  same(await rejected, 487, "answer to the INVITE");
});

await check("a call is declined", async () => {
  const inviter = new SIP.Inviter(sipjs2.ua, SIP.UserAgent.makeURI(sipjs.uri));
  const rejected = new Promise((resolve) => {
    inviter.invite({ requestDelegate: { onReject: ({ message }) => resolve(message.statusCode) } });
  });
  await (await sipjs.calls.take()).reject({ statusCode: 486 });
  same(await rejected, 486, "answer to the INVITE");
});

await check("who has unregistered is not reached any more", async () => {
  await jssip2.unregister();
  await sipjs2.unregister();
  for (const gone of [jssip2, sipjs2]) {
    const status = await jssip.message(gone.uri, "still there?");
    if (![404, 480].includes(status)) throw new Error(`${gone.uri} was answered with ${status}`);
  }
});

await check("who has disconnected is not reached any more", async () => {
  await sipjs2.register();
  same(await jssip.message(sipjs2.uri, "back?"), 200, "while connected");
  sipjs2.ua.transport.ws.terminate();
  await sipjs2.disconnected;
  // The server learns of it a moment later than the client; a text that crossed the end may go without an answer.
  for (const deadline = Date.now() + 20_000; ;) {
    const answer = jssip.message(sipjs2.uri, "still there?").catch((error) => error.message);
    const status = await Promise.race([answer, new Promise((resolve) => setTimeout(resolve, 1_000, "nothing"))]);
    if ([404, 430, 480].includes(status)) break;
    if (Date.now() > deadline) throw new Error(`answered with ${status}`);
  }
});

await check("the server closes: the clients learn it, and it ends with status 0", async () => {
  server.kill("SIGTERM");
  same(await jssip.disconnected, 1001, "JsSIP's close code");
  same(await sipjs.disconnected, 1001, "SIP.js's close code");
  same(await serverEnd, [0, null], "the server's end");
});

finish();
