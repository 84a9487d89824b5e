// Chromium with a fake camera and microphone, and pages that hold the SDK.

import { readFile } from 'node:fs/promises';
import { join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';

import { chromium } from 'playwright-core';

const SDK = fileURLToPath(new URL('../../../signaling/js/dist/', import.meta.url));
const PROBE = fileURLToPath(new URL('./probe.js', import.meta.url));

/** Starts a browser; `fps` is the rate of its fake camera. */
export async function startChromium({ fps = 30 } = {}) {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      '--use-fake-ui-for-media-stream',
      `--use-fake-device-for-media-stream=fps=${fps}`,
      '--autoplay-policy=no-user-gesture-required',
      '--allow-loopback-in-peer-connection',
      '--disable-background-timer-throttling',
      '--disable-backgrounding-occluded-windows',
      '--disable-renderer-backgrounding',
    ],
  });
}

/** A page of the server's own origin with the SDK at `window.Troupe` and probes at `window.probe`. */
export async function sdkPage(browser, server) {
  const context = await browser.newContext();
  const page = await context.newPage();
  page.on('pageerror', (error) => console.error(`page: ${error}`));
  await page.route(`${server.url}/__interop/**`, async (route) => {
    const path = new URL(route.request().url()).pathname.slice('/__interop/'.length);
    await route.fulfill(await interopFile(path));
  });
  await page.goto(`${server.url}/__interop/page.html`);
  await page.waitForFunction(() => window.ready);
  return page;
}

async function interopFile(path) {
  if (path === 'page.html') return { contentType: 'text/html', body: PAGE };
  const file = path === 'probe.js' ? PROBE : join(SDK, normalize(path));
  return { contentType: 'text/javascript', body: await readFile(file) };
}

const PAGE = `<!doctype html><meta charset="utf-8"><title>interop</title>
<div id="stage"></div>
<script type="module">
  import * as Troupe from './index.js';
  import * as probe from './probe.js';
  Object.assign(window, { Troupe, probe, ready: true });
</script>`;
