// One call: an INVITE dialog (RFC 3261, sections 12 to 15) and the RTCPeerConnection that it negotiates. The offer and
// the answer are sent whole, after the candidates were gathered. A Call tells about itself by two events:
//
//   state   preparing | calling | ringing | incoming | connecting | active | ended  (then `reason` says why)
//   media   `local`, `remote` or `note` has changed

import { parseAddress, token, userOf } from "./message.js";

/** The round-trip estimate that the other SIP timers are multiples of, in milliseconds (RFC 3261, section 17.1.1.1). */
export const T1 = 500;

const GATHER_TIMEOUT = 3_000;

// What a caller sees for the responses that people meet; others are shown with their own reason.
const FAILURES = {
  404: "is not known here",
  408: "does not answer",
  480: "is not available",
  486: "is busy",
  488: "cannot take this kind of call",
  503: "cannot be reached",
  600: "is busy",
  603: "declined",
};

export class Call extends EventTarget {
  #agent;
  #invite = null; // the INVITE of the other side, or our own
  #dialog = null;
  #peerConnection = null;
  #provisional = false;
  #cancelled = false;
  #unacknowledged = null;

  constructor(agent, { direction, peerUri, video, invite }) {
    super();
    this.#agent = agent;
    this.direction = direction;
    this.state = "new";
    this.reason = "";
    this.note = "";
    this.local = null;
    this.remote = null;
    this.localTag = token(10);
    this.callId = invite?.get("Call-ID") ?? token(24);
    this.peerUri = peerUri ?? parseAddress(invite.get("From")).uri;
    this.peer = userOf(this.peerUri);
    this.video = video ?? /^m=video [1-9]/m.test(invite.body);
    if (invite) this.#invite = invite;
  }

  /** The connection, for statistics; null before the media was set up and after the call. */
  get peerConnection() {
    return this.#peerConnection;
  }

  // ---- Calling ---------------------------------------------------------------------------------------------------

  /** Sends the INVITE. */
  async start() {
    this.#setState("preparing");
    try {
      await this.#openMedia();
      // What has no device is still received.
      for (const kind of this.video ? ["audio", "video"] : ["audio"]) {
        if (!this.#sends(kind)) this.#peerConnection?.addTransceiver(kind, { direction: "recvonly" });
      }
      const sdp = await this.#describe("createOffer");
      if (this.state === "ended") return;
      this.#invite = this.#agent.request("INVITE", this.peerUri, {
        from: `<${this.#agent.aor}>;tag=${this.localTag}`,
        callId: this.callId,
        headers: this.#contact(),
        contentType: "application/sdp",
        body: sdp,
      });
      this.#setState("calling");
      this.#agent.send(this.#invite, (response) => this.#receiveResponse(response));
    } catch (error) {
      this.#end(`The call could not be set up: ${error.message}`);
    }
  }

  #receiveResponse(response) {
    if (response.status < 200) {
      this.#provisional = true;
      if (this.#cancelled) this.#sendCancel();
      else if (response.status === 180 && this.state === "calling") this.#setState("ringing");
    } else if (response.status < 300) {
      this.#receiveAnswer(response);
    } else if (this.state !== "ended") {
      const failure = FAILURES[response.status];
      const code = response.local ? "" : ` (${response.status})`;
      this.#end(failure ? `${this.peer} ${failure}${code}` : `The call failed: ${response.status} ${response.reason}`);
    }
  }

  async #receiveAnswer(response) {
    const { sequence } = this.#invite;
    const dialog = {
      target: parseAddress(response.get("Contact") ?? `<${this.peerUri}>`).uri,
      route: response.all("Record-Route").reverse(),
      local: this.#invite.from,
      remote: response.get("To"),
      remoteTag: response.toTag,
      sequence,
      remoteSequence: 0,
    };
    // Each 2xx gets its ACK, a repeated one too.
    this.#agent.sendRaw(this.#inDialog("ACK", dialog, sequence).text);
    if (this.#dialog?.remoteTag === dialog.remoteTag) return;
    // A second fork that answered, or an answer that crossed our CANCEL: there is nobody here for it.
    if (this.#dialog || this.state === "ended") return this.#sendBye(dialog);
    this.#dialog = dialog;
    this.#setState("connecting");
    try {
      await this.#peerConnection.setRemoteDescription({ type: "answer", sdp: response.body });
    } catch (error) {
      this.hangUp(`The answer of ${this.peer} makes no sense: ${error.message}`);
    }
  }

  // Before a provisional response there is nothing that a CANCEL could follow (RFC 3261, section 9.1).
  #sendCancel() {
    if (this.#cancelled === "sent") return;
    this.#cancelled = "sent";
    const { uri, branch, from, to, callId, sequence, route } = this.#invite;
    this.#agent.send(this.#agent.request("CANCEL", uri, { branch, from, to, callId, sequence, route }), () => {});
  }

  // ---- Being called ----------------------------------------------------------------------------------------------

  /** Tells the caller that it rings here. */
  ring() {
    this.#reply(180, "Ringing");
    this.#setState("incoming");
  }

  /** Accepts the call. */
  async answer() {
    if (this.state !== "incoming") return;
    this.#setState("connecting");
    try {
      await this.#openMedia();
      await this.#peerConnection?.setRemoteDescription({ type: "offer", sdp: this.#invite.body });
      const sdp = await this.#describe("createAnswer");
      if (this.state === "ended") return;
      this.#acceptDialog();
      this.#answered(sdp);
    } catch (error) {
      if (this.state === "ended") return;
      this.#reply(488, "Not Acceptable Here");
      this.#end(`The call could not be answered: ${error.message}`);
    }
  }

  /** Refuses the call. */
  decline() {
    if (this.state !== "incoming") return;
    this.#reply(603, "Decline");
    this.#end("You declined the call");
  }

  #acceptDialog() {
    this.#dialog = {
      target: parseAddress(this.#invite.get("Contact")).uri,
      route: this.#invite.all("Record-Route"),
      local: `${this.#invite.get("To")};tag=${this.localTag}`,
      remote: this.#invite.get("From"),
      remoteTag: this.#invite.fromTag,
      sequence: 0,
      remoteSequence: this.#invite.sequence,
    };
  }

  // A 2xx is repeated until its ACK arrives, since a hop after the first may lose it (RFC 3261, section 13.3.1.4).
  #answered(sdp) {
    const text = this.#reply(200, "OK", { contentType: "application/sdp", body: sdp });
    const repeat = (delay, left) => {
      this.#unacknowledged = setTimeout(() => {
        if (left <= delay) return this.hangUp("The caller never confirmed the call");
        this.#agent.sendRaw(text);
        repeat(Math.min(2 * delay, 8 * T1), left - delay);
      }, delay);
    };
    repeat(T1, 64 * T1);
  }

  #reply(status, reason, options = {}) {
    return this.#agent.reply(this.#invite, status, reason, {
      toTag: this.localTag,
      ...options,
      headers: status < 300 ? this.#contact() : [],
    });
  }

  // ---- Both sides ------------------------------------------------------------------------------------------------

  /** Ends the call, in whatever state it is. */
  hangUp(reason = "You hung up") {
    if (this.state === "ended") return;
    if (this.state === "incoming") return this.decline();
    if (this.#dialog) {
      this.#sendBye(this.#dialog);
    } else if (this.direction === "in") {
      this.#reply(480, "Temporarily Unavailable"); // while the answer was being made
    } else if (this.#invite) {
      this.#cancelled = true;
      if (this.#provisional) this.#sendCancel();
    }
    this.#end(reason);
  }

  /** The connection to the server is gone. A call that stands has media of its own and goes on. */
  connectionLost() {
    if (!this.#dialog) this.#end("The connection to the server was lost");
  }

  /** Whether a request is of this call: of its dialog, or about its first INVITE. */
  owns(request) {
    if (request.get("Call-ID") !== this.callId) return false;
    return request.toTag ? request.toTag === this.localTag : this.direction === "in";
  }

  receiveRequest(request) {
    const { method } = request;
    if (method === "ACK") return clearTimeout(this.#unacknowledged);
    if (method === "CANCEL") return this.#receiveCancel(request);
    if (method === "INVITE" && !request.toTag) {
      // The first INVITE again: once more the same is nothing new, by another way it is a loop (section 8.2.2.2).
      if (request.branch !== this.#invite.branch) this.#agent.reply(request, 482, "Loop Detected");
      return;
    }
    if (!this.#dialog || request.fromTag !== this.#dialog.remoteTag) {
      return this.#agent.reply(request, 481, "Call/Transaction Does Not Exist");
    }
    if (request.sequence <= this.#dialog.remoteSequence) return this.#agent.reply(request, 500, "CSeq out of order");
    this.#dialog.remoteSequence = request.sequence;
    if (method === "BYE") {
      this.#agent.reply(request, 200, "OK");
      this.#end(`${this.peer} hung up`);
    } else if (method === "INVITE") {
      this.#receiveReinvite(request);
    } else {
      this.#agent.reply(request, 405, "Method Not Allowed");
    }
  }

  #receiveCancel(cancel) {
    if (cancel.branch !== this.#invite.branch) {
      return this.#agent.reply(cancel, 481, "Call/Transaction Does Not Exist");
    }
    this.#agent.reply(cancel, 200, "OK", { toTag: this.localTag });
    if (this.#dialog) return; // too late: answered already
    this.#reply(487, "Request Terminated");
    this.#end(`${this.peer} cancelled the call`);
  }

  // The other side changes the session (hold, another device). One without an offer leaves it as it is.
  async #receiveReinvite(request) {
    const options = { toTag: this.localTag, headers: this.#contact() };
    try {
      if (!request.body) throw new Error("no offer");
      await this.#peerConnection.setRemoteDescription({ type: "offer", sdp: request.body });
      const body = await this.#describe("createAnswer");
      this.#agent.reply(request, 200, "OK", { ...options, contentType: "application/sdp", body });
    } catch {
      this.#agent.reply(request, 488, "Not Acceptable Here");
    }
  }

  #inDialog(method, dialog, sequence) {
    const headers = method === "INVITE" ? this.#contact() : [];
    return this.#agent.request(method, dialog.target, {
      from: dialog.local, to: dialog.remote, callId: this.callId, route: dialog.route, sequence, headers,
    });
  }

  #sendBye(dialog) {
    this.#agent.send(this.#inDialog("BYE", dialog, ++dialog.sequence), () => {});
  }

  // `ob`: further requests of the dialog are to come by this connection (RFC 5626, section 4.3).
  #contact() {
    return [["Contact", `<${this.#agent.contactUri};ob>`]];
  }

  #end(reason) {
    if (this.state === "ended") return;
    clearTimeout(this.#unacknowledged);
    this.reason = reason;
    this.#peerConnection?.close();
    this.#peerConnection = null;
    for (const track of this.local?.getTracks() ?? []) track.stop();
    this.local = null;
    this.remote = null;
    if (this.#agent.call === this) this.#agent.call = null;
    this.#setState("ended");
  }

  #setState(state) {
    this.state = state;
    this.dispatchEvent(new Event("state"));
  }

  // ---- Media -----------------------------------------------------------------------------------------------------

  async #openMedia() {
    const { stream, note } = await captureMedia(this.video);
    if (this.state === "ended") {
      for (const track of stream.getTracks()) track.stop();
      return;
    }
    const connection = new RTCPeerConnection();
    this.#peerConnection = connection;
    this.local = stream;
    this.note = note;
    this.remote = new MediaStream();
    for (const track of stream.getTracks()) connection.addTrack(track, stream);
    connection.ontrack = ({ track }) => {
      this.remote.addTrack(track);
      this.dispatchEvent(new Event("media"));
    };
    connection.onconnectionstatechange = () => this.#connectionStateChanged(connection.connectionState);
    this.dispatchEvent(new Event("media"));
  }

  #connectionStateChanged(state) {
    if (state === "connected" && this.state === "connecting") this.#setState("active");
    if (state === "failed") this.hangUp("The media connection was lost");
  }

  #sends(kind) {
    return this.local?.getTracks().some((track) => track.kind === kind);
  }

  // Makes the offer or answer, waits until its candidates are known, and returns the whole as text.
  async #describe(create) {
    const connection = this.#peerConnection;
    if (!connection) return "";
    await connection.setLocalDescription(await connection[create]());
    if (connection.iceGatheringState !== "complete") {
      await new Promise((resolve) => {
        // Interfaces that lead nowhere can hold the gathering up; what was found by then is offered.
        setTimeout(resolve, GATHER_TIMEOUT);
        connection.onicegatheringstatechange = () => connection.iceGatheringState === "complete" && resolve();
      });
    }
    return connection.localDescription.sdp;
  }

  /** Switches the microphone ("audio") or the camera ("video") off and on again. */
  setSending(kind, on) {
    for (const track of this.local?.getTracks() ?? []) {
      if (track.kind === kind) track.enabled = on;
    }
  }
}

// The best that the machine and the person allow: both devices, one of them, or none, with a note of what is missing.
async function captureMedia(video) {
  const attempts = video
    ? [[{ audio: true, video: true }, ""],
       [{ audio: true }, "No camera: you are heard but not seen"],
       [{ video: true }, "No microphone: you are seen but not heard"]]
    : [[{ audio: true }, ""]];
  for (const [constraints, note] of attempts) {
    try {
      return { stream: await navigator.mediaDevices.getUserMedia(constraints), note };
    } catch {
      // No such device, or not allowed; in an insecure context `mediaDevices` itself is absent. The next one, then.
    }
  }
  const missing = video ? "No camera and no microphone" : "No microphone";
  return { stream: new MediaStream(), note: `${missing}: you only receive` };
}
