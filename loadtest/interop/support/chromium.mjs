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

function deviceArguments({ fps, devices }) {
  // Without the fake prompt, a headless browser says no to every request.
  const prompt = devices === 'denied' ? [] : ['--use-fake-ui-for-media-stream'];
  const source = devices === 'none' ? [] : [`--use-fake-device-for-media-stream=fps=${fps}`];
  return [...prompt, ...source];
}

/**
 * Starts a browser and serves its pages.
 * @param {object} options `fps` is the rate of the fake camera; `devices` are `fake`, `none`, or
 * `denied` to the page.
 */
export async function startChromium({ fps = 30, devices = 'fake' } = {}) {
  const browser = await chromium.launch({
    executablePath: await executable(),
    args: [...ALWAYS, ...deviceArguments({ fps, devices })],
  });
  const pages = await servePages();
  return new Chromium(browser, pages);
}

class Chromium {
  constructor(browser, pages) {
    this.browser = browser;
    this.pages = pages;
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
