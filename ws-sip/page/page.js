// The page: what the user agent (sip.js) tells is shown, what a person does is passed on.

import { userOf, toUri } from "./message.js";
import { UserAgent } from "./sip.js";

const MAX_TRACED = 200;

const $ = (id) => document.getElementById(id);
let agent = null;
/** The call that is shown, the last one after its end; null before the first. */
export let call = null;
let callStarted = 0; // when media connected, for the clock
const title = document.title;

// ---- Account -------------------------------------------------------------------------------------------------------

const REGISTRATION = {
  offline: () => "Offline",
  connecting: (detail) => (detail ? `Offline: ${detail}` : "Connecting …"),
  registering: () => "Connected, registering …",
  registered: () => `Registered as ${agent.aor}`,
  failed: (detail) => `Not registered: the server answered ${detail}`,
};

$("account").addEventListener("submit", (event) => {
  event.preventDefault();
  const user = $("name").value.trim();
  if (!user || agent) return;
  const url = new URL("/", location.href);
  url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  agent = new UserAgent({ url: url.href, host: location.hostname, user });
  agent.addEventListener("state", ({ detail }) => showRegistration(detail));
  agent.addEventListener("message", ({ detail }) => receiveText(detail));
  agent.addEventListener("call", ({ detail }) => showCall(detail.call));
  agent.addEventListener("trace", ({ detail }) => showTrace(detail));
  agent.start();
});

$("unregister").addEventListener("click", () => agent?.stop());

// A page that goes away says so, as far as the browser still lets it.
addEventListener("pagehide", () => agent?.stop());

function showRegistration({ state, detail }) {
  const status = $("registration");
  status.dataset.state = state;
  status.textContent = REGISTRATION[state](detail);
  const registered = state === "registered";
  if (state === "offline") agent = null;
  $("name").disabled = agent !== null;
  $("register").hidden = agent !== null;
  $("unregister").hidden = agent === null;
  $("intro").hidden = agent !== null;
  for (const id of ["peer", "text", "send"]) $(id).disabled = !registered;
  showCallButtons();
  if (registered && document.activeElement === document.body) $("peer").focus();
}

// ---- Messages ------------------------------------------------------------------------------------------------------

$("composer").addEventListener("submit", async (event) => {
  event.preventDefault();
  const text = $("text").value;
  const uri = peerUri();
  if (!text || !uri) return;
  $("text").value = "";
  const shown = showMessage("out", userOf(uri), text, "sending");
  const response = await agent.sendText(uri, text);
  const delivered = response.status < 300;
  shown.dataset.state = delivered ? "delivered" : "failed";
  const outcome = delivered ? "delivered" : `not delivered: ${response.status} ${response.reason}`;
  shown.querySelector(".meta").append(` · ${outcome}`);
});

function receiveText({ from, text }) {
  showMessage("in", from, text, "received");
  if (!$("peer").value.trim()) $("peer").value = from;
}

function showMessage(direction, peer, text, state) {
  const item = document.createElement("li");
  item.className = "message";
  item.dataset.direction = direction;
  item.dataset.state = state;
  const body = Object.assign(document.createElement("span"), { className: "body", textContent: text });
  const time = new Date().toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  const who = direction === "in" ? peer : `to ${peer}`;
  const meta = Object.assign(document.createElement("div"), { className: "meta", textContent: `${who} · ${time}` });
  item.append(body, meta);
  $("messages").append(item);
  $("messages").scrollTop = $("messages").scrollHeight;
  return item;
}

// The person to talk to, or null after asking for one.
function peerUri() {
  const typed = $("peer").value.trim();
  if (typed && agent) return toUri(typed, agent.host);
  $("peer").focus();
  return null;
}

// ---- Call ----------------------------------------------------------------------------------------------------------

const CALL = {
  preparing: () => `Calling ${call.peer} …`,
  calling: () => `Calling ${call.peer} …`,
  ringing: () => `Ringing at ${call.peer} …`,
  incoming: () => `${call.peer} is calling (${call.video ? "video" : "audio"})`,
  connecting: () => `Connecting to ${call.peer} …`,
  active: () => `In a call with ${call.peer} · ${clock(performance.now() - callStarted)}`,
  ended: () => call.reason,
};

for (const [id, video] of [["call-audio", false], ["call-video", true]]) {
  $(id).addEventListener("click", () => {
    const uri = peerUri();
    if (uri) showCall(agent.startCall(uri, { video }));
  });
}

$("answer").addEventListener("click", () => call?.answer());
$("decline").addEventListener("click", () => call?.decline());
$("hangup").addEventListener("click", () => call?.hangUp());
$("dismiss").addEventListener("click", () => { $("call").hidden = true; });
$("mute").addEventListener("click", () => toggle($("mute"), "audio"));
$("camera").addEventListener("click", () => toggle($("camera"), "video"));

function toggle(button, kind) {
  const off = button.getAttribute("aria-pressed") !== "true";
  button.setAttribute("aria-pressed", off);
  call?.setSending(kind, !off);
}

function showCall(started) {
  call = started;
  $("avatar").textContent = [...call.peer][0]?.toUpperCase() ?? "";
  for (const id of ["mute", "camera"]) $(id).setAttribute("aria-pressed", false);
  for (const type of ["state", "media"]) {
    started.addEventListener(type, () => started === call && (type === "state" ? showCallState() : showMedia()));
  }
  showCallState();
  showMedia();
}

function showCallState() {
  const { state } = call;
  if (state === "active") callStarted = performance.now();
  $("call").hidden = false;
  $("call").dataset.state = state;
  $("call").toggleAttribute("data-video", call.video);
  $("call-state").textContent = CALL[state]();
  $("answer").hidden = $("decline").hidden = state !== "incoming";
  $("hangup").hidden = ["incoming", "ended"].includes(state);
  $("dismiss").hidden = state !== "ended";
  document.title = state === "incoming" ? `${CALL.incoming()} – ${title}` : title;
  if (state === "ended") showMedia();
  showCallButtons();
}

function showMedia() {
  const kinds = (call.local?.getTracks() ?? []).map((track) => track.kind);
  $("mute").hidden = !kinds.includes("audio");
  $("camera").hidden = $("local").hidden = !kinds.includes("video");
  $("call-note").textContent = call.note;
  $("call-note").hidden = !call.note || call.state === "ended";
  play($("local"), call.local);
  play($("remote"), call.remote);
  showPicture();
}

// A browser may refuse to start sound by itself; the controls then let the person do it.
function play(video, stream) {
  if (video.srcObject === stream) return;
  video.srcObject = stream;
  video.controls = false;
  if (stream) video.play().catch((error) => { video.controls = error.name === "NotAllowedError"; });
}

// The peer's picture once it has one, until then its initial.
function showPicture() {
  $("call").toggleAttribute("data-picture", call?.remote && $("remote").videoWidth > 0);
}
$("remote").addEventListener("resize", showPicture);

function showCallButtons() {
  const possible = agent?.state === "registered" && agent.call === null;
  $("call-audio").disabled = $("call-video").disabled = !possible;
}

setInterval(() => {
  if (call?.state === "active") $("call-state").textContent = CALL.active();
}, 1000);

function clock(milliseconds) {
  const seconds = Math.floor(milliseconds / 1000);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

// ---- Trace ---------------------------------------------------------------------------------------------------------

let traced = 0;

function showTrace({ sent, text }) {
  $("trace-count").textContent = ++traced;
  const entry = document.createElement("pre");
  entry.dataset.direction = sent ? "out" : "in";
  entry.textContent = text.trim() ? text.trimEnd() : "(keepalive)";
  const log = $("trace-log");
  const atEnd = log.scrollTop + log.clientHeight >= log.scrollHeight - 40;
  log.append(entry);
  if (log.childElementCount > MAX_TRACED) log.firstElementChild.remove();
  if (atEnd) log.scrollTop = log.scrollHeight;
}

// `/#alice` fills in the name.
if (location.hash.length > 1) {
  try {
    $("name").value = decodeURIComponent(location.hash.slice(1));
  } catch {
    // not a name then
  }
}
