// The pictures in the README, taken of the real thing; written with TROUPE_SCREENSHOTS=1 alone. What
// can be checked of a picture is checked always: nothing is cut off, on a phone neither.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';

import { goIn, lobby, moves, shown, visitor } from '../support/app.mjs';
import { startChromium } from '../support/chromium.mjs';
import { figure } from '../support/figures.mjs';
import { startServer } from '../support/server.mjs';

const IMAGES = fileURLToPath(new URL('../../../docs/images/', import.meta.url));
const WRITE = process.env.TROUPE_SCREENSHOTS === '1';
const BYTES_MAX = 200_000;
const DESK = { viewport: { width: 1280, height: 800 }, colorScheme: 'dark' };
const PHONE = {
  viewport: { width: 390, height: 844 },
  colorScheme: 'dark',
  isMobile: true,
  hasTouch: true,
};
const ROOM = 'weekly';

let server;
let browser;

before(async () => {
  server = await startServer();
  browser = await startChromium({ fps: 10 });
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

/** Options of a page whose camera is a drawing. */
const drawn = (portrait, options = DESK) => ({ ...options, portrait });

/** Fewer colours, so that the file is small. */
async function quantised(png, target) {
  const folder = await mkdtemp(join(tmpdir(), 'picture-'));
  const source = join(folder, 'in.png');
  await writeFile(source, png);
  const filter = 'split[a][b];[a]palettegen=max_colors=200[p];[b][p]paletteuse=dither=none';
  const words = ['-y', '-loglevel', 'error', '-i', source, '-vf', filter, '-frames:v', '1', target];
  await promisify(execFile)('ffmpeg', words);
  await rm(folder, { recursive: true });
}

async function picture(t, page, name) {
  const png = await page.screenshot({ animations: 'disabled', caret: 'hide' });
  if (!WRITE) return;
  const target = join(IMAGES, `${name}.png`);
  await quantised(png, target);
  const { size } = await stat(target);
  await figure(t, `${name}.png`, size, 'B');
  assert.ok(size < BYTES_MAX, `${name}.png has ${size} B`);
}

/** Nothing sticks out, and what can be pressed can be hit with a thumb. */
async function fits(page, smallest) {
  const found = await page.evaluate(() => {
    const { clientWidth, scrollWidth } = document.documentElement;
    const buttons = [...document.querySelectorAll('footer.controls button.round, button.primary')];
    const boxes = buttons.map((button) => button.getBoundingClientRect());
    const inside = ({ left, right, top, bottom }) =>
      left >= 0 && right <= innerWidth && top >= 0 && bottom <= innerHeight;
    const visible = boxes.filter(({ width }) => width > 0);
    return {
      overflow: scrollWidth - clientWidth,
      outside: visible.filter((box) => !inside(box)).length,
      smallest: Math.min(...visible.map(({ width, height }) => Math.min(width, height))),
    };
  });
  assert.equal(found.overflow, 0, 'nothing to scroll sideways');
  assert.equal(found.outside, 0, 'every control is on the screen');
  assert.ok(found.smallest >= smallest, `the smallest control has ${found.smallest} px`);
}

test('the lobby', async (t) => {
  const page = await lobby(browser, server.url, undefined, drawn(0));
  await page.getByLabel('Your name').fill('Ada Moreau');
  await page.getByRole('textbox', { name: /^Room/ }).fill('weekly');
  await moves(page.locator('.preview-picture video'));
  await fits(page, 32);
  await picture(t, page, 'lobby');
  await page.context().close();
});

/** Two more people, who talk and mute: for the pictures alone. */
async function company(ada) {
  const ben = await visitor(browser, server.url, ROOM, 'Ben Okafor', drawn(1));
  const cleo = await visitor(browser, server.url, ROOM, 'Cleo Tanaka', drawn(2));
  await ben.getByRole('button', { name: 'Chat (C)' }).click();
  for (const text of ['Morning, everyone', 'Shall we start with the numbers?']) {
    await ben.getByLabel('Message').fill(text);
    await ben.getByLabel('Message').press('Enter');
  }
  await ada.getByRole('button', { name: /^Chat/ }).click();
  await ada.getByLabel('Message').fill('Yes, let me share them');
  await ada.getByLabel('Message').press('Enter');
  await cleo.getByRole('button', { name: 'Mute the microphone (M)' }).click();
  await ada.locator('article[aria-label^="Cleo Tanaka, muted"]').waitFor();
  // Who comes is said for a few seconds.
  await ada.waitForTimeout(5_000);
  return [ben, cleo];
}

test('the room, and the same on a phone', async (t) => {
  const ada = await visitor(browser, server.url, ROOM, 'Ada Moreau', drawn(0));
  const phone = await lobby(browser, server.url, ROOM, drawn(3, PHONE));
  await fits(phone, 40);
  await goIn(phone, 'Dario Rossi');
  const others = WRITE ? await company(ada) : [];
  const people = ['ada-moreau', 'dario-rossi', ...(WRITE ? ['ben-okafor', 'cleo-tanaka'] : [])];
  for (const page of [ada, phone]) {
    for (const name of people) await shown(page, name);
  }
  await fits(ada, 32);
  await picture(t, ada, 'room');
  await fits(phone, 40);
  await picture(t, phone, 'phone');
  await Promise.all([ada, phone, ...others].map((page) => page.context().close()));
});
