// A real tab is shared as a screen, with its sound, by the library and by the web app.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { SHARED_TITLE, startChromium } from '../support/chromium.mjs';
import { figure } from '../support/figures.mjs';
import { enter } from '../support/member.mjs';
import { startServer } from '../support/server.mjs';

const STOP_MS_MAX = 5_000;

let server;
let browser;

before(async () => {
  server = await startServer();
  browser = await startChromium({ devices: 'tab' });
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

/** A tab that turns from red to green to blue, and hums. */
async function sharedTab() {
  const page = await browser.blank({ viewport: { width: 1280, height: 720 } });
  await page.setContent(`<title>${SHARED_TITLE}</title><canvas width="1280" height="720"></canvas>`);
  await page.evaluate(() => {
    const canvas = document.querySelector('canvas');
    Object.assign(canvas.style, { position: 'fixed', inset: 0 });
    const paint = canvas.getContext('2d');
    setInterval(() => {
      const now = performance.now();
      paint.fillStyle = ['#f00', '#0f0', '#00f'][Math.floor(now / 700) % 3];
      paint.fillRect(0, 0, 1280, 720);
      paint.fillStyle = '#fff';
      paint.fillRect((now / 5) % 1280, 300, 60, 120);
    }, 50);
    const sound = new AudioContext();
    const tone = sound.createOscillator();
    tone.connect(sound.destination);
    tone.start();
  });
  return page;
}

/** Which of red, green and blue a video shows in its corner over some seconds. */
function colours(page, selector) {
  return page.evaluate(async (selector) => {
    const canvas = new OffscreenCanvas(1, 1);
    const paint = canvas.getContext('2d', { willReadFrequently: true });
    const seen = new Set();
    const end = performance.now() + 10_000;
    while (seen.size < 3 && performance.now() < end) {
      const video = document.querySelector(selector);
      if (video?.videoWidth) {
        paint.drawImage(video, 8, 8, 1, 1, 0, 0, 1, 1);
        const rgb = [...paint.getImageData(0, 0, 1, 1).data.slice(0, 3)];
        const strong = rgb.findIndex((value) => value > 180);
        const pure = rgb.every((value, index) => index === strong || value < 90);
        if (strong >= 0 && pure) seen.add(['red', 'green', 'blue'][strong]);
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    return [...seen].sort();
  }, selector);
}

/** Shares from the page of a member; the sources that were published. */
function share(member) {
  return member.page.evaluate(async () => {
    const tracks = await call.room.publishScreen({ audio: true });
    return tracks.map(({ source }) => source).sort();
  });
}

function gone(member) {
  return member.page.evaluate(
    (ms) =>
      probe.until(
        () => call.room.tracks.length === 0 && !document.querySelector('#stage video'),
        ms,
        'no track and no video',
      ),
    STOP_MS_MAX,
  );
}

test('a shared tab is seen and heard, and gone when it is stopped', async (t) => {
  const tab = await sharedTab();
  const sender = await enter(browser, server, 'screen', 'sender');
  const viewer = await enter(browser, server, 'screen', 'viewer');
  const started = Date.now();
  assert.deepEqual(await share(sender), ['screen', 'screen-audio']);
  await viewer.seen(1);
  await figure(t, 'share → first picture', Date.now() - started, 'ms');
  assert.deepEqual(await colours(viewer.page, '#stage video'), ['blue', 'green', 'red']);

  const rows = await viewer.receive(3_000);
  const [video] = rows.filter(({ kind }) => kind === 'video');
  const [audio] = rows.filter(({ kind }) => kind === 'audio');
  await figure(t, 'the screen decodes', video.fps, 'fps');
  assert.deepEqual([video.width, video.height], [1280, 720]);
  assert.ok(video.frames > 0, JSON.stringify(video));
  assert.equal(video.lost, 0, JSON.stringify(video));
  assert.ok(audio.energy > 0, JSON.stringify(audio));
  const sources = await viewer.page.evaluate(() => call.room.tracks.map(({ source }) => source));
  assert.deepEqual(sources.sort(), ['screen', 'screen-audio']);

  const stopping = Date.now();
  await sender.page.evaluate(() => Promise.all(call.room.localTracks.map((own) => own.unpublish())));
  await gone(viewer);
  await figure(t, 'stopped → gone for the other', Date.now() - stopping, 'ms');
  assert.equal((await viewer.events('trackUnpublished')).length, 2);

  assert.deepEqual(await share(sender), ['screen', 'screen-audio'], 'and once more');
  assert.deepEqual(await colours(viewer.page, '#stage video'), ['blue', 'green', 'red']);
  await tab.context().close();
  await gone(viewer);
  const left = await sender.page.evaluate(() => call.room.localTracks.length);
  assert.equal(left, 0, 'a tab that is closed ends what was shared of it');
  await Promise.all([sender.close(), viewer.close()]);
});

test('the web app puts a shared screen on the stage', async (t) => {
  const tab = await sharedTab();
  const [ada, ben] = await Promise.all(
    ['Ada', 'Ben'].map(async (name) => {
      const page = await browser.blank();
      const wants = `auto=1&name=${name}&camera=off&microphone=off`;
      await page.goto(`${server.url}/r/stage?${wants}`);
      await page.locator('main.call-main[data-state=connected]').waitFor();
      return page;
    }),
  );
  await ada.getByRole('button', { name: 'Share the screen (S)' }).click();
  const staged = '.stage-main article.screen[data-peer^="ada-"] video';
  await ben.locator(staged).waitFor();
  assert.deepEqual(await colours(ben, staged), ['blue', 'green', 'red']);
  const stopping = Date.now();
  await ada.getByRole('button', { name: 'Stop sharing the screen (S)' }).click();
  await ben.locator('article.screen').waitFor({ state: 'detached', timeout: STOP_MS_MAX });
  await figure(t, 'app: stopped → gone for the other', Date.now() - stopping, 'ms');
  await ada.getByRole('button', { name: 'Share the screen (S)' }).waitFor();
  await Promise.all([tab, ada, ben].map((page) => page.context().close()));
});
