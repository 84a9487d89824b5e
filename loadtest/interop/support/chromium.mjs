// Chromium with a fake camera and microphone, and pages that hold the SDK.

import { fileURLToPath } from 'node:url';

import { chromium } from 'playwright-core';

import { servePages } from './pages.mjs';

const PATHS = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

const PORTRAIT = fileURLToPath(new URL('./page/portrait.js', import.meta.url));

const ALWAYS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--autoplay-policy=no-user-gesture-required',
  // Where loopback is the only interface, it is the only candidate.
  '--allow-loopback-in-peer-connection',
  '--disable-background-timer-throttling',
  '--disable-backgrounding-occluded-windows',
  '--disable-renderer-backgrounding',
];

async function executable() {
  const { access } = await import('node:fs/promises');
  for (const path of [process.env.CHROMIUM, ...PATHS]) {
    if (path && (await access(path).then(() => true, () => false))) return path;
  }
  throw new Error(`no Chromium: none of ${PATHS.join(', ')}; set CHROMIUM`);
}

/** The title of the tab that `devices: 'tab'` shares. */
export const SHARED_TITLE = 'shared picture';

const DEVICES = {
  fake: (fps) => ['--use-fake-ui-for-media-stream', `--use-fake-device-for-media-stream=fps=${fps}`],
  none: () => ['--use-fake-ui-for-media-stream'],
  // Without the fake prompt, a headless browser says no to every request.
  denied: (fps) => [`--use-fake-device-for-media-stream=fps=${fps}`],
  // With fake devices even screens are fake. No camera then, but the picture of a real tab.
  tab: () => [`--auto-select-tab-capture-source-by-title=${SHARED_TITLE}`],
};

/**
 * Starts a browser and serves its pages.
 * @param {object} options `fps` is the rate of the fake camera; `devices` are `fake`, `none`,
 * `denied` to the page, or `tab`: a tab to share as a screen. `peer`: the only address of candidates
 * that pages take from the server.
 */
export async function startChromium({ fps = 30, devices = 'fake', peer } = {}) {
  const browser = await chromium.launch({
    executablePath: await executable(),
    args: [...ALWAYS, ...DEVICES[devices](fps)],
    // A tab that is muted shares silence.
    ignoreDefaultArgs: devices === 'tab' ? ['--mute-audio'] : [],
  });
  const pages = await servePages();
  return new Chromium(browser, pages, peer);
}

/** Runs in the page: of the other end's candidates those of this address count. */
function takeOnly(address) {
  const apply = RTCPeerConnection.prototype.setRemoteDescription;
  RTCPeerConnection.prototype.setRemoteDescription = function ({ type, sdp }) {
    const fits = (line) => !line.startsWith('a=candidate:') || line.split(' ')[4] === address;
    return apply.call(this, { type, sdp: sdp.split('\r\n').filter(fits).join('\r\n') });
  };
}

class Chromium {
  constructor(browser, pages, peer) {
    Object.assign(this, { browser, pages, peer });
  }

  /**
   * An empty page in a context of its own; options are Playwright's for a context, and `portrait` to
   * have that drawing for a camera.
   */
  async blank({ portrait, ...options } = {}) {
    const context = await this.browser.newContext(options);
    if (portrait !== undefined) {
      await context.addInitScript((index) => (window.portrait = index), portrait);
      await context.addInitScript({ path: PORTRAIT });
    }
    if (this.peer) await context.addInitScript(takeOnly, this.peer);
    const page = await context.newPage();
    page.on('pageerror', (error) => console.error(`page: ${error}`));
    if (process.env.TROUPE_PAGE_LOG) {
      page.on('console', (message) => console.error(`page: ${message.text()}`));
    }
    return page;
  }

  /** A page with the SDK and its helper at `window.call` and plain probes at `window.probe`. */
  async page() {
    const page = await this.blank();
    await page.goto(this.pages.url);
    await page.waitForFunction(() => window.ready);
    return page;
  }

  async close() {
    await this.browser.close();
    this.pages.close();
  }
}
