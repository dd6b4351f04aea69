// Two user agents that browsers know, JsSIP and SIP.js, each in a window of a headless Chromium, behind one interface.

import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

import { open } from "./browser.mjs";

const WAIT = 30_000; // for one step, on a loaded machine
const HERE = dirname(fileURLToPath(import.meta.url));
const MODULES = join(HERE, "node_modules");
const TYPES = { js: "text/javascript", mjs: "text/javascript", html: "text/html" };

const require = createRequire(import.meta.url);

/** JsSIP is CommonJS: all its modules as one script for the browser, which sets `JsSIP`. */
async function jssip() {
  const modules = new Map();
  const add = async (file) => {
    if (modules.has(file)) return;
    modules.set(file, "");
    let source = await readFile(file, "utf8");
    if (file.endsWith(".json")) source = `module.exports = ${source}`;
    const inner = createRequire(file);
    const needs = new Set();
    source = source.replace(/\brequire\((['"])(.+?)\1\)/g, (_, quote, name) => {
      // Node has a module of this name itself, and the other one comes in two forms.
      const found = inner.resolve({ events: "events/", debug: "debug/src/browser.js" }[name] ?? name);
      needs.add(found);
      return `require(${JSON.stringify(relative(MODULES, found))})`;
    });
    modules.set(file, source);
    for (const need of needs) await add(need);
  };
  const main = require.resolve("jssip");
  await add(main);
  const all = [...modules].map(([file, source]) => {
    return `${JSON.stringify(relative(MODULES, file))}(module, exports, require) {\n${source}\n}`;
  });
  return `window.JsSIP = (() => {
    const modules = {\n${all.join(",\n")}\n}, loaded = {};
    const require = (name) => {
      if (!loaded[name]) modules[name](loaded[name] = { exports: {} }, loaded[name].exports, require);
      return loaded[name].exports;
    };
    return require(${JSON.stringify(relative(MODULES, main))});
  })();`;
}

const made = { "/jssip.js": await jssip() };
const files = createServer(async (request, response) => {
  const { pathname } = new URL(request.url, "http://localhost");
  const directory = pathname.startsWith("/sip.js/") ? MODULES : HERE;
  const content = made[pathname] ?? await readFile(join(directory, pathname)).catch(() => null);
  const type = TYPES[pathname.split(".").at(-1)] ?? "application/octet-stream";
  response.writeHead(content === null ? 404 : 200, { "Content-Type": type });
  response.end(content);
}).listen(0, "127.0.0.1");
await once(files, "listening");

/** A user agent in a window of its own. `kind` is "JsSIP" or "SIP.js". */
export class Agent {
  static async open(kind, name, url, domain) {
    const agent = new Agent();
    Object.assign(agent, { kind, name, uri: `sip:${name}@${domain}` });
    agent.page = await open(`http://127.0.0.1:${files.address().port}/agent.html`);
    await agent.page.evaluate(([...args]) => window.startAgent(...args), [kind, url, agent.uri]);
    return agent;
  }

  /** Calls a method of the agent in the window. */
  async do(method, ...args) {
    try {
      return await this.page.evaluate(([name, given]) => window.agent[name](...given), [method, args]);
    } catch (error) {
      throw new Error(`${this.name} (${this.kind}), ${method}: ${error.message}`);
    }
  }

  /** Waits for the event, and takes it out, so that the same one can be awaited again. */
  async event(name) {
    try {
      await this.page.waitForFunction((wanted) => {
        const at = window.events.indexOf(wanted);
        return at >= 0 && window.events.splice(at, 1);
      }, name, { timeout: WAIT });
    } catch (error) {
      const events = await this.page.evaluate(() => window.events);
      throw new Error(`${this.name} (${this.kind}) waits for "${name}", has ${JSON.stringify(events)}: ${error.message}`);
    }
  }

  /** The SIP messages so far that start with the given words, as they were received or sent. */
  messages(direction, start) {
    return this.page.evaluate(([wanted, words]) => {
      return window.wire.filter((message) => message.direction === wanted && message.data.startsWith(words))
        .map((message) => message.data);
    }, [direction, start]);
  }

  /** Samples what arrives until the sound of the peer has gone on. */
  async receivesMedia() {
    const first = await this.do("bytesReceived");
    for (const deadline = Date.now() + WAIT; ;) {
      const now = await this.do("bytesReceived");
      if (now > first) return now;
      if (Date.now() > deadline) throw new Error(`${this.name} (${this.kind}): no media beyond ${now} bytes`);
      await this.page.evaluate(() => new Promise(requestAnimationFrame));
    }
  }
}

/** A call from one to the other with sound both ways, ended by `hangs`. */
export async function call(from, to, hangs) {
  await from.do("call", to.uri);
  await Promise.all([to.event("incoming"), from.event("ringing")]);
  await to.do("answer");
  await Promise.all([from.event("established"), to.event("established")]);
  await Promise.all([from.receivesMedia(), to.receivesMedia()]);
  await hangs.do("hangUp");
  await Promise.all([from.event("ended"), to.event("ended")]);
}
