// Every codec from one page to another, and SVC in one stream.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { startChromium } from '../support/chromium.mjs';
import { figure } from '../support/figures.mjs';
import { Member, enter, publisher, videos } from '../support/member.mjs';
import { startServer } from '../support/server.mjs';

let server;
let browser;

before(async () => {
  server = await startServer();
  browser = await startChromium({ fps: 15 });
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

async function pair(room, publish, work) {
  const sender = await publisher(browser, server, room, 'sender', { publish });
  const viewer = await enter(browser, server, room, 'viewer');
  try {
    await viewer.seen(1);
    return await work(sender, viewer);
  } finally {
    await sender.close();
    await viewer.close();
  }
}

for (const [codec, name] of Object.entries({ vp8: 'VP8', vp9: 'VP9', av1: 'AV1', h264: 'H264' })) {
  test(`${name} goes through`, async (t) => {
    await pair(codec, { codec }, async (sender, viewer) => {
      const [row] = videos(await viewer.receive(4_000));
      const [track] = await viewer.page.evaluate(() =>
        call.room.tracks.filter(({ kind }) => kind === 'video').map(({ codec }) => codec),
      );
      await figure(t, `${name} decodes`, row.fps, 'fps');
      assert.equal(row.codec, name);
      assert.equal(track, codec, 'what the room says it is');
      assert.equal(row.width, 640);
      assert.ok(row.fps >= 12, JSON.stringify(row));
      assert.equal(row.lost, 0, JSON.stringify(row));
    });
  });
}

/** Waits until the video is this wide, and watches it for a while. */
async function watchAt(viewer, width, maxWidth) {
  return viewer.page.evaluate(
    async ({ width, maxWidth }) => {
      const track = call.room.tracks.find(({ kind }) => kind === 'video');
      await call.room.pin(track, maxWidth ? { maxWidth } : {});
      const video = async (ms) => (await call.receive(ms)).find(({ kind }) => kind === 'video');
      await probe.until(
        async () => (await video(100))?.width === width,
        15_000,
        `a video ${width} wide`,
      );
      return video(3_000);
    },
    { width, maxWidth },
  );
}

const SVC = {
  // The least of which Chromium makes three layers: the smallest has to be 240 × 135.
  VP9: { codec: 'vp9', scalabilityMode: 'L3T3_KEY', width: 960, height: 540 },
  // Two layers of 360p are what two cores encode in AV1.
  AV1: { codec: 'av1', scalabilityMode: 'L2T2_KEY', width: 640, height: 360 },
};

for (const [name, publish] of Object.entries(SVC)) {
  const { codec, scalabilityMode, width } = publish;
  const small = width / (scalabilityMode.startsWith('L3') ? 4 : 2);
  test(`${name} ${scalabilityMode}: each viewer gets the layers it wants`, async (t) => {
    await pair(`${codec}-svc`, publish, async (sender, viewer) => {
      const whole = await watchAt(viewer, width);
      const little = await watchAt(viewer, small, small);
      const again = await watchAt(viewer, width);
      for (const row of [whole, little, again]) {
        await figure(t, `${name} SVC at ${row.width} decodes`, row.fps, 'fps');
        assert.equal(row.codec, name);
        assert.ok(row.fps >= 10, JSON.stringify(row));
        assert.equal(row.freezes, 0, JSON.stringify(row));
      }
    });
  });
}

test('a viewer without VP9: the publisher goes on in VP8, for everybody', async (t) => {
  const publish = { codec: 'vp9', scalabilityMode: 'L3T3_KEY' };
  const sender = await publisher(browser, server, 'backup', 'sender', { publish });
  const first = await enter(browser, server, 'backup', 'first');
  await first.seen(1);
  const page = await browser.page();
  await page.evaluate(() => window.live.only('vp8'));
  const second = new Member(page, server, 'backup', 'second');
  const came = Date.now();
  await second.enter();
  await second.seen(1);
  await figure(t, 'entered → a picture in another codec', Date.now() - came, 'ms');
  for (const viewer of [first, second]) {
    const [row] = videos(await viewer.receive(2_000));
    assert.equal(row.codec, 'VP8', JSON.stringify(row));
    assert.equal(row.width, 640);
    assert.ok(row.fps >= 12, JSON.stringify(row));
  }
  for (const member of [sender, first, second]) await member.close();
});
