// The page of `ws-sip` in a real browser: two windows register, text each other, and hold a video call.
//
// usage: page.mjs http://HOST:PORT/ [SCREENSHOT-DIR]

import { join } from "node:path";

import { callState, close, complaints, open, receivesMedia, register, registration, send, sees } from "./browser.mjs";
import { check, finish } from "./check.mjs";

const [url, screenshots] = process.argv.slice(2);
const ALICE = "alice";
const BOB = "Bob Grün"; // a name that needs escaping in a URI

async function shot(page, name) {
  if (screenshots) await page.screenshot({ path: join(screenshots, `${name}.png`), fullPage: true });
}

// Runs in the page, before anything else there: only these kinds of devices exist.
function withDevices(kinds) {
  const capture = MediaDevices.prototype.getUserMedia;
  MediaDevices.prototype.getUserMedia = function (constraints) {
    if (Object.keys(constraints).every((kind) => kinds.includes(kind))) return capture.call(this, constraints);
    return Promise.reject(new DOMException("Requested device not found", "NotFoundError"));
  };
}

try {
  const alice = await open(url);
  const bob = await open(url);
  await shot(alice, "1-start");

  await check("both register", async () => {
    await register(alice, ALICE);
    await register(bob, BOB);
  });
  await check("a text each way, not only ASCII", async () => {
    await send(alice, BOB, "Grüße, 你好 👋 <b>&amp;</b>");
    await sees(bob, "in", "Grüße, 你好 👋 <b>&amp;</b>");
    await alice.waitForSelector('.message[data-direction="out"][data-state="delivered"]');
    await send(bob, ALICE, "Здравствуй, Alice");
    await sees(alice, "in", "Здравствуй, Alice");
    await shot(alice, "2-messages");
  });
  await check("a text to nobody is shown as not delivered", async () => {
    await send(alice, "nobody", "anyone there?");
    await alice.waitForSelector('.message[data-direction="out"][data-state="failed"]');
  });
  await check("a call that is declined", async () => {
    await alice.fill("#peer", BOB);
    await alice.click("#call-audio");
    await callState(bob, "incoming");
    await callState(alice, "ringing");
    await shot(bob, "3-incoming");
    await bob.click("#decline");
    await callState(alice, "ended");
    await alice.getByText("declined").waitFor();
  });
  await check("a call that is cancelled", async () => {
    await alice.click("#call-video");
    await callState(alice, "ringing");
    await callState(bob, "incoming");
    await alice.click("#hangup");
    await callState(alice, "ended");
    await callState(bob, "ended");
    await bob.getByText("cancelled the call").waitFor();
  });
  await check("a video call: media flow both ways", async () => {
    await alice.click("#call-video");
    await callState(bob, "incoming");
    await bob.click("#answer");
    await Promise.all([callState(alice, "active"), callState(bob, "active")]);
    console.log("  alice received", JSON.stringify(await receivesMedia(alice)));
    console.log("  bob received", JSON.stringify(await receivesMedia(bob)));
    await shot(alice, "4-call");
  });
  await check("a third who calls meanwhile hears busy", async () => {
    const carol = await open(url);
    await register(carol, "carol");
    await carol.fill("#peer", BOB);
    await carol.click("#call-audio");
    await callState(carol, "ended");
    await carol.getByText("is busy").waitFor();
    await carol.close();
  });
  await check("texts during the call", async () => {
    await send(bob, ALICE, "I can see you");
    await sees(alice, "in", "I can see you");
  });
  await check("hang up: both see the end", async () => {
    await bob.click("#hangup");
    await Promise.all([callState(alice, "ended"), callState(bob, "ended")]);
    await alice.getByText("hung up").waitFor();
    await shot(alice, "5-ended");
  });
  await check("an audio call the other way, ended by the caller's leaving", async () => {
    await bob.fill("#peer", ALICE);
    await bob.click("#call-audio");
    await callState(alice, "incoming");
    await alice.click("#answer");
    await Promise.all([callState(alice, "active"), callState(bob, "active")]);
    await receivesMedia(alice, { video: false });
    await bob.click("#unregister");
    await registration(bob, "offline");
    await callState(alice, "ended");
  });
  await check("who has unregistered is not reached", async () => {
    await send(alice, BOB, "still there?");
    await alice.locator('.message[data-state="failed"]').nth(1).waitFor();
    await alice.locator("#trace summary").click();
    await shot(alice, "6-trace");
  });
  await check("who comes back is reached again", async () => {
    await register(bob, BOB);
    await send(alice, BOB, "welcome back");
    await sees(bob, "in", "welcome back");
  });
  await check("without a camera the call is audio only, without devices receive only", async () => {
    for (const devices of [["audio"], []]) {
      const dave = await open(url, (page) => page.addInitScript(withDevices, devices));
      await register(dave, "dave");
      await dave.fill("#peer", BOB);
      await dave.click("#call-video");
      await callState(bob, "incoming");
      await bob.click("#answer");
      await Promise.all([callState(dave, "active"), callState(bob, "active")]);
      await receivesMedia(dave);
      await dave.getByText(devices.length > 0 ? "not seen" : "you only receive").waitFor();
      await shot(dave, `7-devices-${devices.length}`);
      await dave.close(); // a window that closes hangs up
      await callState(bob, "ended");
    }
  });
  await check("a lost connection is made again, and the registration with it", async () => {
    let connection;
    const erin = await open(url, (page) => page.routeWebSocket(/.*/, (socket) => {
      connection = socket;
      socket.connectToServer();
    }));
    await register(erin, "erin");
    await connection.close({ code: 1012, reason: "restarting" });
    await registration(erin, "connecting");
    await shot(erin, "8-lost");
    await registration(erin, "registered");
    await send(bob, "erin", "there you are");
    await sees(erin, "in", "there you are");
    await erin.close();
  });
  await check("neither the page nor its security policy complained", async () => {
    if (complaints.length > 0) throw new Error(complaints.join("\n"));
  });
} finally {
  await close();
}
finish();
