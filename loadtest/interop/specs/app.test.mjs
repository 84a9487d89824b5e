// The web app in use: two people meet, by mouse and by keyboard alone.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { goIn, lobby, moves, shown, tabTo, tile, visitor } from '../support/app.mjs';
import { startChromium } from '../support/chromium.mjs';
import { figure } from '../support/figures.mjs';
import { startServer } from '../support/server.mjs';

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

const button = (page, name) => page.getByRole('button', { name });

/** A switch of the call that is not being switched. */
const idle = (page, name) => page.locator(`button[aria-label="${name}"][aria-busy="false"]`);

async function close(...pages) {
  await Promise.all(pages.map((page) => page.context().close()));
}

test('the lobby shows who one is before one goes in', async () => {
  const page = await lobby(browser, server.url);
  assert.equal(await page.title(), 'Troupe');
  await moves(page.locator('.preview-picture video'));
  const enter = button(page, 'Open a new room');
  assert.ok(await enter.isDisabled(), 'not without a name');
  await page.getByLabel('Your name').fill('Ada');
  assert.ok(await enter.isEnabled());

  await page.getByRole('textbox', { name: /^Room/ }).fill('not a room!');
  await page.getByText('Letters, digits, dots, dashes and underscores only').waitFor();
  assert.ok(await button(page, 'Go in').isDisabled());
  await page.getByRole('textbox', { name: /^Room/ }).fill('lobby-1');

  await button(page, 'Turn the camera off').click();
  await page.getByText('Your camera is off').waitFor();
  await button(page, 'Turn the camera on').click();
  await moves(page.locator('.preview-picture video'));
  assert.ok((await page.getByRole('combobox', { name: /^Camera/ }).locator('option').count()) >= 2);

  await goIn(page, 'Ada');
  assert.equal(new URL(page.url()).pathname, '/r/lobby-1');
  await page.getByText('Nobody else is here yet').waitFor();
  await shown(page, 'Ada');
  await close(page);
});

test('two meet, and everything works by mouse', async (t) => {
  const [ada, ben] = await Promise.all([
    visitor(browser, server.url, 'mouse', 'Ada'),
    visitor(browser, server.url, 'mouse', 'Ben'),
  ]);
  await Promise.all([shown(ada, 'Ben'), shown(ben, 'Ada'), shown(ada, 'Ada')]);
  await button(ada, '2 people').waitFor();

  const label = (page, name) => tile(page, name).getAttribute('aria-label');
  await idle(ada, 'Mute the microphone (M)').click();
  await ben.locator('article[aria-label="Ada, muted"]').waitFor();
  await idle(ada, 'Unmute the microphone (M)').click();
  await ben.locator('article[aria-label="Ada, muted"]').waitFor({ state: 'detached' });
  assert.match(await label(ben, 'Ada'), /^Ada(, speaking)?$/);

  await idle(ada, 'Turn the camera off (V)').click();
  await tile(ben, 'Ada').locator('.tile-avatar').waitFor();
  await idle(ada, 'Turn the camera on (V)').click();
  const back = Date.now();
  await shown(ben, 'Ada');
  await figure(t, 'camera on again → seen by the other', Date.now() - back, 'ms');

  await button(ben, 'Chat (C)').click();
  await ben.getByLabel('Message').fill('Hello Ada');
  await button(ben, 'Send').click();
  await button(ada, 'Chat, 1 unread (C)').click();
  await ada.locator('.chat').getByText('Hello Ada').waitFor();
  await button(ada, 'Close chat').click();

  await button(ada, 'React (R)').click();
  await ada.getByRole('menuitem', { name: 'Applause' }).click();
  await ben.locator('.rain span').first().waitFor();

  await tile(ada, 'Ben').hover();
  await button(ada, 'Pin Ben').click();
  await ada.locator('.stage-main').locator('[data-peer^="ben-"]').waitFor();
  await shown(ada, 'Ben');
  await button(ada, 'Unpin Ben').click();
  await ada.locator('.stage-main').waitFor({ state: 'detached' });

  await button(ben, 'Leave the call').click();
  await ben.getByRole('heading', { name: 'You left the room' }).waitFor();
  await ada.getByText('Ben left').waitFor();
  await tile(ada, 'Ben').waitFor({ state: 'detached' });
  await button(ben, 'Go back in').click();
  await shown(ada, 'Ben');
  await close(ada, ben);
});

test('of quick presses the last one counts', async () => {
  const [ada, ben] = await Promise.all([
    visitor(browser, server.url, 'quick', 'Ada'),
    visitor(browser, server.url, 'quick', 'Ben'),
  ]);
  await Promise.all([shown(ada, 'Ben'), shown(ben, 'Ada')]);
  for (const key of ['v', 'v', 'v', 'm', 'm', 'm']) await ada.keyboard.press(key);
  await ben.locator('article[aria-label="Ada, muted"]').waitFor();
  await tile(ben, 'Ada').locator('.tile-avatar').waitFor();
  await Promise.all([
    idle(ada, 'Unmute the microphone (M)').waitFor(),
    idle(ada, 'Turn the camera on (V)').waitFor(),
  ]);
  for (const key of ['v', 'm', 'v', 'v', 'm', 'm']) await ada.keyboard.press(key);
  await shown(ben, 'Ada');
  await ben.locator('article[aria-label="Ada, muted"]').waitFor({ state: 'detached' });
  await close(ada, ben);
});

test('everything works by keyboard alone', async () => {
  const ben = await visitor(browser, server.url, 'keys', 'Ben');
  const ada = await lobby(browser, server.url, 'keys');
  const { keyboard } = ada;
  await keyboard.type('Ada');
  await keyboard.press('Enter');
  await ada.locator('main.call-main[data-state=connected]').waitFor();
  await Promise.all([shown(ada, 'Ben'), shown(ben, 'Ada')]);

  await keyboard.press('m');
  await ben.locator('article[aria-label="Ada, muted"]').waitFor();
  await idle(ada, 'Unmute the microphone (M)').waitFor();
  await keyboard.press('m');
  await ben.locator('article[aria-label="Ada, muted"]').waitFor({ state: 'detached' });
  await keyboard.press('v');
  await tile(ben, 'Ada').locator('.tile-avatar').waitFor();
  await idle(ada, 'Turn the camera on (V)').waitFor();
  await keyboard.press('v');
  await shown(ben, 'Ada');

  await keyboard.press('c');
  await ada.waitForFunction(() => document.activeElement?.tagName === 'TEXTAREA');
  await keyboard.type('written, and m, v and c are letters here');
  await keyboard.press('Enter');
  await button(ben, 'Chat, 1 unread (C)').waitFor();
  await keyboard.press('Escape');
  await ada.locator('.panel').waitFor({ state: 'detached' });

  await keyboard.press('r');
  await ada.waitForFunction(() => document.activeElement?.closest('.menu'));
  await keyboard.press('ArrowRight');
  await keyboard.press('Enter');
  await ben.locator('.rain span').first().waitFor();

  await keyboard.press('?');
  const help = ada.getByRole('heading', { name: 'Keyboard shortcuts' });
  await help.waitFor();
  await keyboard.press('Escape');
  await help.waitFor({ state: 'detached' });
  await keyboard.press('i');
  const figures = ada.getByLabel('Call statistics');
  await figures.waitFor();
  await ada.locator('.tile-figures').getByText(/VP8 · \d+×\d+/).first().waitFor();
  await keyboard.press('i');
  await figures.waitFor({ state: 'detached' });

  await tabTo(ada, /^Pin Ben$/);
  await keyboard.press('Enter');
  await ada.locator('.stage-main').locator('[data-peer^="ben-"]').waitFor();
  await tabTo(ada, /^Leave the call$/);
  await keyboard.press('Enter');
  await ada.getByRole('heading', { name: 'You left the room' }).waitFor();
  await close(ada, ben);
});

test('a reload takes the same place again', async () => {
  const [ada, ben] = await Promise.all([
    visitor(browser, server.url, 'reload', 'Ada'),
    visitor(browser, server.url, 'reload', 'Ben'),
  ]);
  await shown(ben, 'Ada');
  await ada.reload();
  await goIn(ada, 'Ada');
  await Promise.all([shown(ada, 'Ben'), shown(ben, 'Ada')]);
  await button(ben, '2 people').waitFor();
  assert.equal(await ben.locator('article.tile').count(), 2);
  await close(ada, ben);
});

test('a kiosk link joins without a click', async () => {
  const watcher = await visitor(browser, server.url, 'kiosk', 'Ada');
  const kiosk = await browser.blank();
  await kiosk.goto(`${server.url}/r/kiosk?auto=1&name=Hall&camera=640x360@15&layers=1`);
  await shown(watcher, 'Hall');
  await shown(kiosk, 'Ada');
  await close(watcher, kiosk);
});
