// What SIP.js needs to make calls under Node, where there is no browser: its WebSocket, and something in place of media.

import * as SIP from "sip.js";
import WebSocket from "ws";

// A browser sends the Origin of its page.
globalThis.WebSocket = class extends WebSocket {
  constructor(url, protocols) {
    super(url, protocols, { origin: "http://page.example" });
  }
};

/** Stands in for the media of a browser: says and takes any session description. */
export const noMedia = () => ({
  close() {},
  getDescription: async () => ({
    body: "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\n",
    contentType: "application/sdp",
  }),
  hasDescription: (type) => type === "application/sdp",
  setDescription: async () => {},
  sendDtmf: () => false,
});

/** Resolves once a call is in the state. */
export const reaches = (session, state) => new Promise((resolve) => {
  if (session.state === state) return resolve();
  session.stateChange.addListener((now) => now === state && resolve());
});

/** Calls; `answered` resolves with the final status code. */
export function invite({ ua }, target) {
  const session = new SIP.Inviter(ua, SIP.UserAgent.makeURI(target));
  const answered = new Promise((resolve) => {
    const final = ({ message }) => resolve(message.statusCode);
    session.invite({ requestDelegate: { onAccept: final, onReject: final } });
  });
  return { session, answered };
}

/** SIP.js on a connection of its own. It answers calls; `received` keeps all that comes in, `texts` the texts. */
export async function client(uri, url) {
  const received = [];
  const texts = [];
  let ringing;
  const called = new Promise((resolve) => { ringing = resolve; });
  const ua = new SIP.UserAgent({
    uri: SIP.UserAgent.makeURI(uri),
    transportOptions: { server: url },
    logBuiltinEnabled: false,
    sessionDescriptionHandlerFactory: noMedia,
    delegate: {
      onInvite: async (invitation) => {
        await invitation.progress();
        await invitation.accept();
        ringing(invitation);
      },
      onMessage: (message) => {
        texts.push(message.request.body);
        message.accept();
      },
    },
  });
  await ua.start();
  ua.transport.ws.on("message", (data) => received.push(data.toString()));
  return { ua, uri, received, texts, called, socket: ua.transport.ws };
}

/** Registers; resolves with the status code. */
export const register = ({ ua }) => new Promise((resolve) => {
  const final = ({ message }) => resolve(message.statusCode);
  new SIP.Registerer(ua).register({ requestDelegate: { onAccept: final, onReject: final } });
});

/** Sends a text; resolves with the status code. */
export const message = ({ ua }, target, text) => new Promise((resolve) => {
  const final = ({ message }) => resolve(message.statusCode);
  const messager = new SIP.Messager(ua, SIP.UserAgent.makeURI(target), text, "text/plain");
  messager.message({ requestDelegate: { onAccept: final, onReject: final } });
});
