// A small SIP user agent over WebSocket (RFC 3261, RFC 7118): one connection, one registration, text messages, one
// call at a time (call.js). It knows nothing of the page; whoever uses it listens to its events:
//
//   state    { state, detail }      offline | connecting | registering | registered | failed
//   message  { from, text }         a MESSAGE came in
//   call     { call }               an INVITE came in: a Call in state "incoming"
//   trace    { sent, text }         one SIP message (or keepalive) went over the connection

import { Call, T1 } from "./call.js";
import { format, parse, parseAddress, split, token, userOf, uuid } from "./message.js";

const ALLOW = "INVITE, ACK, CANCEL, BYE, MESSAGE, OPTIONS";
const EXTENSIONS = ["outbound", "path"];

const CALL_METHODS = ["INVITE", "ACK", "CANCEL", "BYE"];
const TRANSACTION_TIMEOUT = 64 * T1;

const REGISTER_SECONDS = 600;
const KEEPALIVE_INTERVAL = 30_000;
const PONG_TIMEOUT = 10_000; // RFC 5626, section 4.4.1
const MAX_RECONNECT_DELAY = 30_000;
const STOP_TIMEOUT = 2_000;

export class UserAgent extends EventTarget {
  #socket = null;
  #transactions = new Map();
  #stopping = false;
  #attempts = 0;
  #timers = {};
  #peerAnswersPings = false;
  #serviceRoute = [];
  #registerId = { callId: token(24), fromTag: token(10), sequence: 0 };

  /** `host` is the SIP domain, `user` the name to register there, `url` the WebSocket server. */
  constructor({ url, host, user }) {
    super();
    this.url = url;
    this.host = host;
    this.user = user;
    this.state = "offline";
    this.call = null;
    this.aor = `sip:${encodeURIComponent(user)}@${host}`;
    // A page cannot know its own address: RFC 7118, appendix B.1, has it use a random name under `.invalid`.
    this.sentBy = `${token(12)}.invalid`;
    this.contactUri = `sip:${token(8)}@${this.sentBy};transport=ws`;
    this.instance = uuid();
    this.transport = url.startsWith("wss:") ? "WSS" : "WS";
  }

  // ---- Connection and registration -------------------------------------------------------------------------------

  /** Connects and registers; keeps both up until `stop`. */
  start() {
    this.#stopping = false;
    this.#connect();
  }

  /** Ends the call, takes the registration back and closes the connection. */
  async stop() {
    this.#stopping = true;
    this.#clearTimers();
    this.call?.hangUp();
    if (this.state === "registered") {
      await Promise.race([this.#register(0), new Promise((resolve) => setTimeout(resolve, STOP_TIMEOUT))]);
    }
    this.#clearTimers();
    this.#socket?.close(1000);
    this.#setState("offline");
  }

  #connect() {
    this.#setState("connecting");
    const socket = new WebSocket(this.url, "sip");
    socket.binaryType = "arraybuffer";
    this.#socket = socket;
    socket.onopen = () => {
      this.#scheduleKeepalive();
      this.#register(REGISTER_SECONDS);
    };
    socket.onmessage = ({ data }) => {
      this.#receive(typeof data === "string" ? data : new TextDecoder().decode(data));
    };
    socket.onclose = ({ code, reason }) => {
      if (socket === this.#socket) this.#connectionLost(code, reason);
    };
  }

  // The connection is the flow that everything pending was sent on: with it, all transactions have failed.
  #connectionLost(code, reason) {
    this.#socket = null;
    this.#clearTimers();
    for (const key of [...this.#transactions.keys()]) this.#fail(key, 503, "Connection lost");
    this.call?.connectionLost();
    if (this.#stopping) return;
    const delay = Math.min(1000 * 2 ** this.#attempts++, MAX_RECONNECT_DELAY) * (0.75 + Math.random() / 2);
    this.#timers.reconnect = setTimeout(() => this.#connect(), delay);
    const why = reason ? `${code} ${reason}` : `${code}`;
    this.#setState("connecting", `connection closed (${why}), next attempt in ${Math.ceil(delay / 1000)} s`);
  }

  async #register(seconds) {
    if (seconds > 0 && this.state !== "registered") this.#setState("registering");
    const { callId, fromTag } = this.#registerId;
    const response = await this.transact(this.request("REGISTER", `sip:${this.host}`, {
      to: `<${this.aor}>`,
      from: `<${this.aor}>;tag=${fromTag}`,
      callId,
      sequence: ++this.#registerId.sequence,
      route: [],
      headers: [
        ["Contact", `<${this.contactUri}>;reg-id=1;+sip.instance="<urn:uuid:${this.instance}>";expires=${seconds}`],
        ["Expires", seconds],
        ["Supported", EXTENSIONS.join(", ")],
        ["Allow", ALLOW],
      ],
    }));
    if (seconds === 0 || this.#stopping) return;
    if (response.status === 423 && Number(response.get("Min-Expires")) > seconds) {
      return this.#register(Number(response.get("Min-Expires")));
    }
    if (response.local && response.status === 503) return; // the connection went; it reports for itself
    if (response.status >= 300) {
      this.#timers.refresh = setTimeout(() => this.#register(REGISTER_SECONDS), MAX_RECONNECT_DELAY);
      return this.#setState("failed", `${response.status} ${response.reason}`);
    }
    this.#attempts = 0;
    this.#serviceRoute = response.all("Service-Route");
    // Refreshed well before the end, so that one lost refresh is no lost registration.
    const granted = this.#grantedSeconds(response, seconds);
    this.#timers.refresh = setTimeout(() => this.#register(REGISTER_SECONDS), granted * 1000 * 0.6);
    this.#setState("registered");
  }

  #grantedSeconds(response, asked) {
    const own = response.all("Contact").map(parseAddress).find(({ uri }) => uri === this.contactUri);
    return Number(own?.parameters.expires ?? response.get("Expires") ?? asked) || asked;
  }

  // CRLF CRLF, answered by CRLF (RFC 5626, section 3.5.1). A page sees no WebSocket Ping, so this is how it learns that
  // the server is gone. Only a server that answered once is expected to answer again.
  #scheduleKeepalive() {
    this.#timers.keepalive = setTimeout(() => {
      this.sendRaw("\r\n\r\n");
      if (this.#peerAnswersPings) {
        const socket = this.#socket;
        this.#timers.pong = setTimeout(() => {
          if (socket !== this.#socket) return;
          socket.close();
          // `close` waits for a peer that is not there; what depends on the connection need not.
          socket.onclose({ code: 1006, reason: "no answer to the keepalive" });
        }, PONG_TIMEOUT);
      }
      this.#scheduleKeepalive();
    }, KEEPALIVE_INTERVAL);
  }

  #clearTimers() {
    for (const timer of Object.values(this.#timers)) clearTimeout(timer);
    this.#timers = {};
  }

  #setState(state, detail = "") {
    this.state = state;
    this.#emit("state", { state, detail });
  }

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  // ---- What a user does ------------------------------------------------------------------------------------------

  /** Sends a text; resolves with the final response, whatever it is. */
  async sendText(uri, text) {
    return this.transact(this.request("MESSAGE", uri, { contentType: "text/plain;charset=utf-8", body: text }));
  }

  /** Starts a call; follow it by the Call's own events. */
  startCall(uri, { video }) {
    if (this.call) throw new Error("there is a call already");
    this.call = new Call(this, { direction: "out", peerUri: uri, video });
    this.call.start();
    return this.call;
  }

  // ---- Requests out, responses in (client transactions, RFC 3261 section 17.1) -----------------------------------

  /** Builds a request. Without `dialog` values it stands alone: new Call-ID, new tag, CSeq 1. */
  request(method, uri, options = {}) {
    const { branch, to = `<${uri}>`, from, callId = token(24), sequence = 1, route = this.#serviceRoute } = options;
    const request = { method, uri, to, callId, sequence, route, branch: branch ?? `z9hG4bK${token(14)}` };
    request.from = from ?? `<${this.aor}>;tag=${token(10)}`;
    request.text = format(`${method} ${uri} SIP/2.0`, [
      ["Via", `SIP/2.0/${this.transport} ${this.sentBy};branch=${request.branch}`],
      ["Max-Forwards", 70],
      ...route.map((hop) => ["Route", hop]),
      ["From", request.from],
      ["To", request.to],
      ["Call-ID", request.callId],
      ["CSeq", `${sequence} ${method}`],
      ...(options.headers ?? []),
      ["Content-Type", options.contentType],
    ], options.body);
    return request;
  }

  /** Sends a request other than INVITE and resolves with its final response, 408 or 503 of our own included. */
  transact(request) {
    return new Promise((resolve) => {
      this.send(request, (response) => response.status >= 200 && resolve(response));
    });
  }

  /** Sends a request; `onResponse` gets each response to it. An INVITE may see several 2xx (forks, retransmissions). */
  send(request, onResponse) {
    const key = `${request.branch} ${request.method}`;
    const timer = setTimeout(() => this.#fail(key, 408, "No answer"), TRANSACTION_TIMEOUT);
    this.#transactions.set(key, { request, onResponse, timer });
    if (!this.sendRaw(request.text)) this.#fail(key, 503, "Not connected");
  }

  /** Puts text on the connection; false when there is none. */
  sendRaw(text) {
    if (this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(text);
    this.#emit("trace", { sent: true, text });
    return true;
  }

  // A transaction that ends without a response of the peer ends as if this one had come (RFC 3261, section 8.1.3.1).
  #fail(key, status, reason) {
    const transaction = this.#transactions.get(key);
    if (!transaction) return;
    this.#transactions.delete(key);
    clearTimeout(transaction.timer);
    if (!transaction.done) transaction.onResponse({ local: true, status, reason, all: () => [], get: () => undefined });
  }

  #receiveResponse(response) {
    const key = `${response.branch} ${response.sequenceMethod}`;
    const transaction = this.#transactions.get(key);
    if (!transaction) return;
    const invite = transaction.request.method === "INVITE";
    if (response.status < 200) {
      if (invite) clearTimeout(transaction.timer); // from here on it may ring as long as people let it
    } else if (invite && response.status < 300) {
      // The entry stays for a while: each further 2xx needs its ACK.
      clearTimeout(transaction.timer);
      transaction.done = true;
      transaction.timer = setTimeout(() => this.#transactions.delete(key), TRANSACTION_TIMEOUT);
    } else {
      clearTimeout(transaction.timer);
      this.#transactions.delete(key);
      if (invite) this.#acknowledgeFailure(transaction.request, response);
    }
    transaction.onResponse(response);
  }

  // The ACK to a failed INVITE belongs to the INVITE's own transaction (RFC 3261, section 17.1.1.3).
  #acknowledgeFailure(invite, response) {
    this.sendRaw(this.request("ACK", invite.uri, { ...invite, to: response.get("To") }).text);
  }

  // ---- Requests in, responses out ---------------------------------------------------------------------------------

  #receive(text) {
    this.#emit("trace", { sent: false, text });
    if (/^(\r\n)+$/.test(text)) return this.#receiveKeepalive(text);
    let message;
    try {
      message = parse(text.replace(/^(\r\n)+/, ""));
    } catch (error) {
      // Not even enough to answer it with a 400 that anybody could match.
      return console.warn("dropped a message:", error.message);
    }
    if (message.method) this.#receiveRequest(message);
    else this.#receiveResponse(message);
  }

  #receiveKeepalive(text) {
    if (text === "\r\n") {
      this.#peerAnswersPings = true;
      clearTimeout(this.#timers.pong);
    } else {
      this.sendRaw("\r\n");
    }
  }

  #receiveRequest(request) {
    const unknown = request.all("Require").filter((option) => !EXTENSIONS.includes(option));
    if (unknown.length > 0 && !["ACK", "CANCEL"].includes(request.method)) {
      return this.reply(request, 420, "Bad Extension", { headers: [["Unsupported", unknown.join(", ")]] });
    }
    if (CALL_METHODS.includes(request.method) && this.call?.owns(request)) return this.call.receiveRequest(request);
    switch (request.method) {
      case "ACK":
        return; // to a call that is over, or to a failure response: nothing waits for it
      case "OPTIONS":
        return this.reply(request, this.call ? 486 : 200, this.call ? "Busy Here" : "OK", {
          headers: [["Accept", "application/sdp, text/plain"], ["Supported", EXTENSIONS.join(", ")]],
        });
      case "MESSAGE":
        return this.#receiveText(request);
      case "INVITE":
        return this.#receiveInvite(request);
      case "BYE":
      case "CANCEL":
        return this.reply(request, 481, "Call/Transaction Does Not Exist");
      default:
        return this.reply(request, 405, "Method Not Allowed");
    }
  }

  #receiveText(request) {
    const [type] = split(request.get("Content-Type") ?? "text/plain", ";");
    if (type.toLowerCase() !== "text/plain") {
      return this.reply(request, 415, "Unsupported Media Type", { headers: [["Accept", "text/plain"]] });
    }
    this.reply(request, 200, "OK");
    this.#emit("message", { from: userOf(parseAddress(request.get("From")).uri), text: request.body });
  }

  #receiveInvite(invite) {
    if (invite.toTag) return this.reply(invite, 481, "Call/Transaction Does Not Exist");
    if (this.call) return this.reply(invite, 486, "Busy Here");
    if (!/^application\/sdp\b/i.test(invite.get("Content-Type") ?? "") || !invite.get("Contact")) {
      return this.reply(invite, 488, "Not Acceptable Here"); // an INVITE without an offer is not for this small agent
    }
    this.call = new Call(this, { direction: "in", invite });
    this.call.ring();
    this.#emit("call", { call: this.call });
  }

  /** Answers a request; returns the text that was sent. `toTag` is the dialog's, when there is one. */
  reply(request, status, reason, { toTag, headers = [], contentType, body } = {}) {
    const to = request.toTag ? request.get("To") : `${request.get("To")};tag=${toTag ?? token(10)}`;
    const text = format(`SIP/2.0 ${status} ${reason}`, [
      ...request.all("Via").map((via) => ["Via", via]),
      // Only what makes a dialog carries the route back (RFC 3261, section 12.1.1).
      ...(toTag ? request.all("Record-Route").map((hop) => ["Record-Route", hop]) : []),
      ["From", request.get("From")],
      ["To", to],
      ["Call-ID", request.get("Call-ID")],
      ["CSeq", request.get("CSeq")],
      ["Allow", ALLOW],
      ...headers,
      ["Content-Type", contentType],
    ], body);
    this.sendRaw(text);
    return text;
  }
}
