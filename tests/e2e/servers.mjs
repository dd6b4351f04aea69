// The servers that a script here starts, stops and starts again: `ws-sip` of ours and Kamailio. What they print goes to
// standard error and is kept, so that a script can wait for a line. All end with the script.

import { spawn } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const WAIT = 30_000; // for a server to do what it is waited for, on a loaded machine
const POLL = 20; // between two looks at what does not tell by itself
export const HOST = "127.0.0.1";

const running = new Set();
const directory = mkdtempSync(join(tmpdir(), "ws-e2e-"));
process.on("exit", () => {
  for (const { child, last } of running) child.kill(last);
  rmSync(directory, { recursive: true, force: true });
});

/** Resolves with what `promise` does, or fails after `WAIT`. */
export function within(promise, what) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: not within ${WAIT / 1000} s`)), WAIT);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** A process whose lines can be waited for. */
export class Server {
  #lines = [];
  #waiting = new Set();

  /** `last` is the signal that ends it with the script: one after which nothing that it started is left. */
  constructor(name, command, args, last = "SIGKILL") {
    this.name = name;
    this.last = last;
    this.child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"] });
    running.add(this);
    this.end = once(this.child, "exit").then((end) => {
      running.delete(this);
      for (const { reject } of this.#waiting) reject(new Error(`${name} ended: ${end}`));
      return end;
    });
    for (const stream of [this.child.stdout, this.child.stderr]) {
      createInterface({ input: stream }).on("line", (line) => this.#take(line));
    }
  }

  #take(line) {
    process.stderr.write(`${this.name}: ${line}\n`);
    this.#lines.push(line);
    for (const wait of this.#waiting) wait.look(line);
  }

  /** The first line that matches, of those printed already, too; the match. */
  line(pattern) {
    for (const line of this.#lines) {
      const match = pattern.exec(line);
      if (match) return Promise.resolve(match);
    }
    return this.nextLine(pattern);
  }

  /** The next line that matches. */
  nextLine(pattern) {
    let wait;
    const found = new Promise((resolve, reject) => {
      const look = (line) => {
        const match = pattern.exec(line);
        if (match) resolve(match);
      };
      wait = { look, reject };
      this.#waiting.add(wait);
    });
    return within(found, `${this.name} to say ${pattern}`).finally(() => this.#waiting.delete(wait));
  }

  /** The lines so far that match. */
  lines(pattern) {
    return this.#lines.filter((line) => pattern.test(line));
  }

  async stop(signal = "SIGTERM") {
    this.child.kill(signal);
    return within(this.end, `the end of ${this.name}`);
  }
}

/** A `ws-sip` that listens on a port of its own, which stays the same when it is started again. */
export class WsSip {
  port = 0;

  constructor(name, program, ...args) {
    Object.assign(this, { name, program, args });
  }

  async start() {
    const args = [...this.args, "--socket", `ws:${HOST}:${this.port}`, "--log", "debug"];
    this.server = new Server(this.name, this.program, args);
    const [, port] = await this.server.line(/^listening on ws:127\.0\.0\.1:(\d+)$/);
    this.port = Number(port);
    return this;
  }

  /** The result of a management command, for which it needs `--mi-http 127.0.0.1:0`. */
  async manage(method, ...params) {
    const [, address] = await this.server.line(/^management on http:(.+)$/);
    const request = { jsonrpc: "2.0", id: 1, method, params };
    const response = await fetch(`http://${address}/mi`, { method: "POST", body: JSON.stringify(request) });
    const { result, error } = await response.json();
    if (error) throw new Error(`${method}: ${JSON.stringify(error)}`);
    return result;
  }

  get url() {
    return `ws://${HOST}:${this.port}/`;
  }

  /** Resolves once there is a connection to the upstream. */
  connected() {
    return this.server.line(/ (trunk-opened|flow-opened .* resource="")/);
  }

  stop(signal) {
    return this.server.stop(signal);
  }
}

/** Whether some process has the UDP port of this machine, by what Linux tells of its sockets. */
function isBound(port) {
  const own = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  const sockets = readFileSync("/proc/net/udp", "utf8").trim().split("\n").slice(1);
  return sockets.some((socket) => socket.trim().split(/\s+/)[1].endsWith(own));
}

/** Debian's sipp with a scenario, a user agent over UDP for one call. */
export class Sipp {
  /** `port` is its own, `options` are sipp's; with a target it calls, without one it is called. */
  constructor(scenario, port, ...options) {
    this.port = port;
    this.log = join(directory, `${scenario}-${port}.log`);
    const file = fileURLToPath(new URL(`sipp/${scenario}.xml`, import.meta.url));
    this.server = new Server("sipp", "sipp", [
      "-sf", file, "-i", HOST, "-p", port, "-m", "1", "-nostdin", "-timeout", "30", "-timeout_error",
      "-trace_msg", "-message_file", this.log, ...options,
    ]);
  }

  /** Resolves once it can be called: what came before would be lost, and sipp is slow to start on some machines. */
  listening() {
    let timer;
    const bound = new Promise((resolve) => {
      timer = setInterval(() => isBound(this.port) && resolve(this), POLL);
    });
    const ended = this.server.end.then((end) => Promise.reject(new Error(`sipp ended: ${end}`)));
    return within(Promise.race([bound, ended]), `sipp on port ${this.port}`).finally(() => clearInterval(timer));
  }

  /** Fails unless the scenario went as written; the messages, in the order in which they came and went. */
  async messages() {
    const [status] = await within(this.server.end, "the end of sipp");
    const log = readFileSync(this.log, "utf8");
    if (status !== 0) throw new Error(`sipp ended with status ${status}\n${log}`);
    // A time, `UDP message received [LENGTH] bytes :` or `UDP message sent (LENGTH bytes):`, and the message, all ASCII.
    const entry = /^\d[\d-]+ [\d:.]+\nUDP message (received|sent) [[(](\d+)\D.*\n\n/;
    return log.split(/-{20,} (?=\d{4}-)/).slice(1).map((part) => {
      const [head, direction, length] = entry.exec(part);
      const text = part.slice(head.length, head.length + Number(length));
      return { isReceived: direction === "received", text };
    });
  }
}

/** A port that TCP and UDP have free. */
export async function freePort() {
  for (;;) {
    const stream = createServer().listen(0, HOST);
    await once(stream, "listening");
    const { port } = stream.address();
    const datagrams = createSocket("udp4");
    const free = await new Promise((resolve) => {
      datagrams.once("error", () => resolve(false)).bind(port, HOST, () => resolve(true));
    });
    datagrams.close();
    await new Promise((resolve) => stream.close(resolve));
    if (free) return port;
  }
}

/** Debian's Kamailio with kamailio.cfg, over TCP, UDP and WebSocket on one port, which stays the same. */
export class Kamailio {
  constructor(port = 0) {
    this.port = port;
  }

  async start() {
    const chosen = this.port;
    for (let left = 5; ; left--) {
      this.port = chosen || await freePort();
      const config = join(directory, "kamailio.cfg");
      const template = readFileSync(new URL("kamailio.cfg", import.meta.url), "utf8");
      writeFileSync(config, template.replaceAll("ADDRESS", `${HOST}:${this.port}`));
      // Few processes with little memory each: starting takes half a second then.
      const args = ["-f", config, "-w", directory, "-Y", directory, "-DD", "-E", "-m", "32", "-M", "4"];
      this.server = new Server("kamailio", "kamailio", args, "SIGTERM");
      try {
        await this.server.line(/ready$/);
        return this;
      } catch (error) {
        // The port was free a moment ago, but it may be somebody else's now.
        if (left === 0) throw error;
        await this.stop();
      }
    }
  }

  stop(signal) {
    return this.server.stop(signal);
  }

  #signal(signal) {
    const { pid } = this.server.child;
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ").map(Number);
    for (const each of [pid, ...children]) process.kill(each, signal);
  }

  /** Has it do nothing more: its connections stay, and what comes waits. */
  freeze() {
    this.#signal("SIGSTOP");
  }

  /** Ends it without a word, all its processes at once. */
  async kill() {
    this.#signal("SIGKILL");
    await within(this.server.end, "the end of Kamailio");
  }
}
