// What the web app says when something fails: always what happened, and what to do.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { goIn, lobby, shown, visitor } from '../support/app.mjs';
import { startChromium } from '../support/chromium.mjs';
import { startProxy } from '../support/proxy.mjs';
import { startServer } from '../support/server.mjs';
import { sign } from '../support/tokens.mjs';

let proxy;
let server;
let browser;

before(async () => {
  proxy = await startProxy();
  server = await startServer({ env: { TROUPE_HTTP__PUBLIC_URL: proxy.url } });
  proxy.target = server.ports.http;
  browser = await startChromium({ fps: 10 });
});

after(async () => {
  await browser?.close();
  await server?.stop();
  proxy?.close();
});

const heading = (page, name) => page.getByRole('heading', { name }).waitFor();

/** Goes in with a token of one's own; the room is not reached. */
async function tryWith(token, room) {
  const page = await browser.blank();
  await page.goto(`${server.url}/r/${room}#token=${token}`);
  await page.getByLabel('Your name').fill('Ada');
  await page.getByRole('button', { name: 'Go in' }).click();
  return page;
}

async function withDevices(devices, check) {
  const other = await startChromium({ devices });
  try {
    const page = await lobby(other, server.url, `without-${devices}`);
    await check(page);
    await goIn(page, 'Ada');
    await page.getByText('Nobody else is here yet').waitFor();
  } finally {
    await other.close();
  }
}

test('no camera and no microphone: said in the lobby, and one can watch all the same', async () => {
  await withDevices('none', async (page) => {
    await page.getByRole('alert').filter({ hasText: 'camera was not found' }).waitFor();
    await page.getByRole('alert').filter({ hasText: 'microphone was not found' }).waitFor();
  });
});

test('permission denied: where to allow it', async () => {
  await withDevices('denied', async (page) => {
    const alert = page.getByRole('alert').filter({ hasText: 'camera is blocked' });
    await alert.filter({ hasText: 'Allow it in the address bar' }).waitFor();
  });
});

test('an expired invitation, and one for another room', async () => {
  const now = Math.floor(Date.now() / 1000);
  const old = sign({ room: 'late', identity: 'ada', claims: { iat: now - 800, exp: now - 100 } });
  const late = await tryWith(old, 'late');
  await heading(late, 'This invitation is not valid');
  assert.equal(await late.getByRole('button', { name: 'Try again' }).count(), 0);
  await late.getByRole('button', { name: 'To the lobby' }).click();
  await late.getByLabel('Your name').waitFor();

  const other = await tryWith(sign({ room: 'elsewhere', identity: 'ada' }), 'here');
  await heading(other, 'You are not invited to this room');
  await Promise.all([late.context().close(), other.context().close()]);
});

test('a full room, until somebody leaves', async () => {
  const opened = await server.admin('PUT', 'rooms/full', { maxPeers: 1 });
  assert.ok(opened.ok, `${opened.status}`);
  const first = await visitor(browser, server.url, 'full', 'Ada');
  const second = await lobby(browser, server.url, 'full');
  await second.getByLabel('Your name').fill('Ben');
  await second.getByRole('button', { name: 'Go in' }).click();
  await heading(second, 'The room is full');
  await first.getByRole('button', { name: 'Leave the call' }).click();
  await heading(first, 'You left the room');
  await second.getByRole('button', { name: 'Try again' }).click();
  await second.getByText('Nobody else is here yet').waitFor();
  await Promise.all([first.context().close(), second.context().close()]);
});

test('a lost connection is said, and that the call goes on', async () => {
  const ada = await visitor(browser, proxy.url, 'lost', 'Ada');
  const ben = await visitor(browser, server.url, 'lost', 'Ben');
  await Promise.all([shown(ada, 'Ben'), shown(ben, 'Ada')]);
  proxy.cut();
  const banner = ada.getByText('Reconnecting to the server. You still hear and see each other.');
  await banner.waitFor();
  await ben.locator('.tile-trouble').getByText('Reconnecting …').waitFor();
  await shown(ada, 'Ben');
  proxy.restore();
  await banner.waitFor({ state: 'detached', timeout: 20_000 });
  await ben.locator('.tile-trouble').waitFor({ state: 'detached' });
  await Promise.all([ada.context().close(), ben.context().close()]);
});

test('removed by an operator, and replaced by oneself', async () => {
  const ada = await visitor(browser, server.url, 'removed', 'Ada');
  const identity = await ada.evaluate(() => window.troupe.peerId);
  const kicked = await server.admin('DELETE', `rooms/removed/peers/${identity}`);
  assert.equal(kicked.status, 204);
  await heading(ada, 'You were removed from the room');

  const token = sign({ room: 'twice', identity: 'ben' });
  const first = await tryWith(token, 'twice');
  await first.getByText('Nobody else is here yet').waitFor();
  const second = await tryWith(token, 'twice');
  await heading(first, 'You joined from somewhere else');
  await second.getByText('Nobody else is here yet').waitFor();
  await Promise.all([ada, first, second].map((page) => page.context().close()));
});

test('a server that is not there', async () => {
  const page = await lobby(browser, proxy.url, 'nowhere');
  proxy.cut();
  await page.getByLabel('Your name').fill('Ada');
  await page.getByRole('button', { name: 'Go in' }).click();
  const said = page.getByRole('heading', { name: 'The server cannot be reached' });
  await said.waitFor({ timeout: 30_000 });
  proxy.restore();
  await page.getByRole('button', { name: 'Try again' }).click();
  await page.getByText('Nobody else is here yet').waitFor();
  await page.context().close();
});

test('an operator closes the room', async () => {
  const page = await visitor(browser, server.url, 'closing', 'Ada');
  assert.equal((await server.admin('DELETE', 'rooms/closing')).status, 204);
  await heading(page, 'The room was closed');
  await page.context().close();
});
