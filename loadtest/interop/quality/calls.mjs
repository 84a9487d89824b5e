// One viewer behind the shaper, by way of Troupe or straight from the other browser.

import { startChromium } from '../support/chromium.mjs';
import { enter, publisher } from '../support/member.mjs';
import { SHAPED_ADDRESS, startServer } from '../support/server.mjs';
import { startShaper } from '../support/shaper.mjs';

/** The same content and the same most for both. */
const CAMERA = { width: 1280, height: 720, frameRate: 30 };
const MAX_BPS = 1_700_000;
/** What encoders give up first; what a plain call does unless told otherwise. */
const DEGRADATION = 'maintain-framerate';
/** What the layers of that camera are allowed, lowest first (`bitrateFor` of the client library). */
export const LAYERS_KBPS = [185, 561, MAX_BPS / 1000];

/** Notes what happens, to be read by people where figures are not as they should be. */
const follow = (page, of, more = '') =>
  page.evaluate(`void direct.follow(${of}${more})`).then(() => page);
const followed = (page) => page.evaluate('direct.followed');

/** What the path did while it was watched, and before. */
async function pathOf(shaper, warmS) {
  const startedAt = performance.timeOrigin + shaper.startedAt;
  const { down } = (await shaper.stop()).heaviest;
  const from = Math.round(warmS * 10);
  return { startedAt, start: down.queue_ms.slice(0, from), watched: down.queue_ms.slice(from), down };
}

const reads = (page, of, seconds) =>
  page.evaluate(`direct.received(${of}, ${seconds})`);

/** What a viewer gets of three simulcast layers through the server. */
export async function viaServer({ network, warmS, seconds }) {
  const server = await startServer({ shaped: true });
  const browser = await startChromium({ fps: 30, peer: SHAPED_ADDRESS });
  const shaper = await startShaper(server.ports.media, network);
  try {
    const publish = { ...CAMERA, layers: 3, degradationPreference: DEGRADATION };
    const sender = await publisher(browser, server, 'quality', 'sender', { publish });
    const viewer = await enter(browser, server, 'quality', 'viewer');
    const ends = [viewer.page, sender.page];
    const room = ', call.room, call.frames';
    await Promise.all(ends.map((page) => follow(page, 'call.room.peerConnection', room)));
    await viewer.page.waitForTimeout((warmS - shaper.seconds) * 1000);
    const [got, sent] = await Promise.all([
      reads(viewer.page, 'call.room.peerConnection', seconds),
      sender.page.evaluate((s) => direct.sentRates(call.room.peerConnection, s), seconds),
    ]);
    const trace = await Promise.all(ends.map(followed));
    return { got, sent, trace, path: await pathOf(shaper, warmS) };
  } finally {
    await browser.close();
    await server.stop();
  }
}

/** Leaves of a description the one candidate that leads through the shaper. */
function through(sdp) {
  const local = /^a=candidate:\S+ 1 udp \d+ 127\.0\.0\.1 (\d+) typ host.*$/im.exec(sdp);
  if (!local) throw new Error(`no candidate of this machine:\n${sdp}`);
  const lines = sdp.split('\r\n').filter((line) => !line.startsWith('a=candidate:'));
  const candidate = local[0].replace('127.0.0.1', SHAPED_ADDRESS);
  const place = lines.findIndex((line) => line.startsWith('a=mid:'));
  lines.splice(place + 1, 0, candidate);
  return { sdp: lines.join('\r\n'), port: Number(local[1]) };
}

const withoutCandidates = (sdp) => sdp.replace(/^a=candidate:.*\r\n/gm, '');

/** What a viewer gets of a plain call: libwebrtc at both ends, nothing between but the network. */
export async function plain({ network, warmS, seconds }) {
  const browser = await startChromium({ fps: 30 });
  let shaper;
  try {
    const [sender, viewer] = [await browser.page(), await browser.page()];
    const offer = await sender.evaluate((wanted) => direct.offer(wanted), {
      ...CAMERA,
      maxBitrate: MAX_BPS,
    });
    const { sdp, port } = through(offer);
    shaper = await startShaper(port, network);
    const answer = await viewer.evaluate((sdp) => direct.answer(sdp), sdp);
    // The sender learns the way back from the viewer's checks, which come through the shaper.
    await sender.evaluate((sdp) => direct.accept(sdp), withoutCandidates(answer));
    const ends = [viewer, sender];
    await Promise.all(ends.map((page) => follow(page, 'direct.connection')));
    await viewer.waitForTimeout((warmS - shaper.seconds) * 1000);
    const [got, sent] = await Promise.all([
      reads(viewer, 'direct.connection', seconds),
      sender.evaluate((s) => direct.sentRates(direct.connection, s), seconds),
    ]);
    const trace = await Promise.all(ends.map(followed));
    return { got, sent, trace, path: await pathOf(shaper, warmS) };
  } finally {
    await browser.close();
  }
}
