// A headless Chromium and what a person does on the page of `ws-sip`, for the scripts that drive it.

import { chromium } from "playwright-core";

const WAIT = 30_000; // for one step of the page, on a loaded machine

// The devices are fake ones (a beep and a moving picture), so that media really flow without hardware.
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  headless: true,
  args: [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream", "--autoplay-policy=no-user-gesture-required",
    "--allow-loopback-in-peer-connection", // for a machine that has no other interface
    "--ignore-certificate-errors", // the tests' own authority is nobody's
  ],
});

/** Whatever a page or its security policy complained of. */
export const complaints = [];

/** Opens a window; of its own for each, since a tab behind another one is slowed down. */
export async function open(url, prepare = async () => {}) {
  const page = await browser.newPage({ viewport: { width: 900, height: 1000 } });
  page.setDefaultTimeout(WAIT);
  await prepare(page);
  page.on("pageerror", (error) => complaints.push(`page error: ${error.message}`));
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) complaints.push(`console: ${message.text()}`);
  });
  await page.goto(url);
  return page;
}

export const close = () => browser.close();

export const registration = (page, state) => page.waitForSelector(`#registration[data-state="${state}"]`);
export const callState = (page, state) => page.waitForSelector(`#call[data-state="${state}"]`);

export async function register(page, name) {
  await page.fill("#name", name);
  await page.click("#register");
  await registration(page, "registered");
}

export async function send(page, peer, text) {
  await page.fill("#peer", peer);
  await page.fill("#text", text);
  await page.click("#send");
}

export async function sees(page, direction, text) {
  await page.locator(`.message[data-direction="${direction}"] .body`).getByText(text, { exact: true }).waitFor();
}

/** Samples what the page shows until both the sound and, in a video call, the picture of the peer have gone on. */
export async function receivesMedia(page, { video = true } = {}) {
  const sample = () => page.evaluate(async () => {
    const { call } = await import("./page.js");
    const received = { audio: 0, video: 0, frames: document.getElementById("remote").getVideoPlaybackQuality().totalVideoFrames };
    for (const report of (await call.peerConnection.getStats()).values()) {
      if (report.type === "inbound-rtp") received[report.kind] += report.bytesReceived;
    }
    return received;
  });
  const first = await sample();
  for (const deadline = Date.now() + WAIT; ;) {
    const now = await sample();
    const audio = now.audio > first.audio;
    if (audio && (!video || (now.video > first.video && now.frames > first.frames))) return now;
    if (Date.now() > deadline) throw new Error(`media do not flow: ${JSON.stringify({ first, now })}`);
    await page.evaluate(() => new Promise(requestAnimationFrame));
  }
}
