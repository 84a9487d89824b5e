// Firefox with a fake camera and microphone, by WebDriver BiDi.

import { access } from 'node:fs/promises';
import { networkInterfaces } from 'node:os';

import puppeteer from 'puppeteer-core';

import { servePages } from './pages.mjs';

const PATHS = ['/usr/bin/firefox-esr', '/usr/bin/firefox'];

const PREFERENCES = {
  'media.navigator.streams.fake': true,
  'media.navigator.permission.disabled': true,
  'media.autoplay.default': 0,
  'media.autoplay.blocking_policy': 0,
  'media.peerconnection.ice.obfuscate_host_addresses': false,
  'media.peerconnection.ice.loopback': true,
  // No plug-in for H.264 is downloaded, and nothing else either.
  'media.gmp-manager.updateEnabled': false,
  'app.update.enabled': false,
  'network.captive-portal-service.enabled': false,
  'network.connectivity-service.enabled': false,
  'datareporting.policy.dataSubmissionEnabled': false,
};

/** Where Firefox is, or nothing. */
export async function firefoxPath() {
  for (const path of [process.env.FIREFOX, ...PATHS]) {
    if (path && (await access(path).then(() => true, () => false))) return path;
  }
  return undefined;
}

/** An IPv4 address of this machine that is not loopback: Firefox checks no others. */
export function outwardAddress() {
  const addresses = Object.values(networkInterfaces()).flat();
  return addresses.find(({ family, internal }) => family === 'IPv4' && !internal)?.address;
}

/** Starts it; its `page()` is as that of Chromium. */
export async function startFirefox() {
  const browser = await puppeteer.launch({
    browser: 'firefox',
    executablePath: await firefoxPath(),
    headless: true,
    extraPrefsFirefox: PREFERENCES,
  });
  const pages = await servePages();
  return {
    async page() {
      const page = await browser.newPage();
      page.on('pageerror', (error) => console.error(`firefox: ${error}`));
      if (process.env.TROUPE_PAGE_LOG) {
        page.on('console', (message) => console.error(`firefox: ${message.text()}`));
      }
      await page.goto(pages.url);
      await page.waitForFunction(() => window.ready);
      return page;
    },
    async version() {
      return browser.version();
    },
    async close() {
      await browser.close();
      pages.close();
    },
  };
}
