// Runs in a browser's window: JsSIP or SIP.js with the same methods and events, and all that went over its WebSockets.
//
// events: connected, disconnected CODE, registered, unregistered, text TEXT, incoming, ringing, established, ended

import * as SIP from "/sip.js/lib/index.js";

const AUDIO = { audio: true, video: false };

window.events = [];
window.wire = [];
const put = (event) => window.events.push(event);

window.WebSocket = class extends WebSocket {
  constructor(...args) {
    super(...args);
    this.addEventListener("message", ({ data }) => window.wire.push({ direction: "in", data }));
  }

  send(data) {
    window.wire.push({ direction: "out", data });
    super.send(data);
  }
};

class Agent {
  async bytesReceived() {
    let bytes = 0;
    for (const report of (await this.connection().getStats()).values()) {
      if (report.type === "inbound-rtp" && report.kind === "audio") bytes += report.bytesReceived;
    }
    return bytes;
  }
}

class JsSipAgent extends Agent {
  constructor(url, uri) {
    super();
    this.ua = new JsSIP.UA({
      sockets: [new JsSIP.WebSocketInterface(url)], uri, register: false, register_expires: 300, session_timers: false,
      connection_recovery_min_interval: 1, connection_recovery_max_interval: 3,
    });
    this.ua.on("connected", () => put("connected"));
    this.ua.on("disconnected", ({ code }) => put(`disconnected ${code}`));
    this.ua.on("registered", () => put("registered"));
    this.ua.on("unregistered", () => put("unregistered"));
    this.ua.on("registrationFailed", ({ cause }) => put(`registration failed: ${cause}`));
    this.ua.on("newMessage", ({ originator, request }) => originator === "remote" && put(`text ${request.body}`));
    this.ua.on("newOptions", () => {}); // with a listener it answers 200 by itself
    this.ua.on("newRTCSession", ({ originator, session }) => this.#take(session, originator === "remote"));
  }

  #take(session, isIncoming) {
    this.session = session;
    if (isIncoming) put("incoming");
    session.on("progress", ({ originator }) => originator === "remote" && put("ringing"));
    session.on("confirmed", () => put("established"));
    session.on("ended", () => put("ended"));
    session.on("failed", ({ cause }) => put(`failed: ${cause}`));
  }

  start() { this.ua.start(); }

  stop() { this.ua.stop(); }

  // From now on also after each new connection.
  register() { this.ua.register(); }

  unregister() { this.ua.unregister(); }

  options(target) { return this.#outcome((eventHandlers) => this.ua.sendOptions(target, null, { eventHandlers })); }

  message(target, text) {
    return this.#outcome((eventHandlers) => this.ua.sendMessage(target, text, { eventHandlers }));
  }

  #outcome(start) {
    return new Promise((resolve) => start({
      succeeded: ({ response }) => resolve(response.status_code),
      failed: ({ response, cause }) => resolve(response?.status_code ?? cause),
    }));
  }

  call(target) { this.ua.call(target, { mediaConstraints: AUDIO }); }

  answer() { this.session.answer({ mediaConstraints: AUDIO }); }

  hangUp() { this.session.terminate(); }

  connection() { return this.session.connection; }
}

class SipJsAgent extends Agent {
  constructor(url, uri) {
    super();
    this.ua = new SIP.UserAgent({
      uri: SIP.UserAgent.makeURI(uri),
      transportOptions: { server: url, keepAliveInterval: 1 },
      reconnectionAttempts: 60,
      reconnectionDelay: 1,
      logBuiltinEnabled: false,
      sessionDescriptionHandlerFactoryOptions: { peerConnectionConfiguration: { iceServers: [] } },
      delegate: {
        onConnect: () => {
          put("connected");
          if (this.isRegistered) this.register();
        },
        onDisconnect: (error) => put(`disconnected ${/code: (\d+)/.exec(error?.message)?.[1]}`),
        onMessage: (message) => {
          put(`text ${message.request.body}`);
          message.accept();
        },
        onInvite: (invitation) => {
          this.#take(invitation);
          put("incoming");
          invitation.progress();
        },
      },
    });
    // An instance and a number of the flow make it outbound (RFC 5626).
    this.registerer = new SIP.Registerer(this.ua, {
      expires: 300, regId: 1, instanceId: this.ua.instanceId ?? crypto.randomUUID(),
    });
  }

  #take(session) {
    this.session = session;
    session.stateChange.addListener((state) => {
      if (state === SIP.SessionState.Established) put("established");
      if (state === SIP.SessionState.Terminated) put("ended");
    });
  }

  start() { return this.ua.start(); }

  stop() { return this.ua.stop(); }

  register() {
    this.isRegistered = true;
    return this.registerer.register(this.#tells("registered"));
  }

  unregister() {
    this.isRegistered = false;
    return this.registerer.unregister(this.#tells("unregistered"));
  }

  // A registration that is only refreshed changes no state.
  #tells(event) {
    const onReject = ({ message }) => put(`registration failed: ${message.statusCode}`);
    return { requestDelegate: { onAccept: () => put(event), onReject } };
  }

  options(target) {
    const uri = SIP.UserAgent.makeURI(target);
    const core = this.ua.userAgentCore;
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

  call(target) {
    const inviter = new SIP.Inviter(this.ua, SIP.UserAgent.makeURI(target), {
      sessionDescriptionHandlerOptions: { constraints: AUDIO },
    });
    this.#take(inviter);
    const onProgress = ({ message }) => message.statusCode === 180 && put("ringing");
    const onReject = ({ message }) => put(`failed: ${message.statusCode}`);
    return inviter.invite({ requestDelegate: { onProgress, onReject } });
  }

  answer() { return this.session.accept({ sessionDescriptionHandlerOptions: { constraints: AUDIO } }); }

  hangUp() { return this.session.bye(); }

  connection() { return this.session.sessionDescriptionHandler.peerConnection; }
}

const KINDS = { "JsSIP": JsSipAgent, "SIP.js": SipJsAgent };

window.startAgent = (kind, url, uri) => {
  window.agent = new KINDS[kind](url, uri);
  window.agent.start();
};
