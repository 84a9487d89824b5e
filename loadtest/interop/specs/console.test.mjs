// The operators' console in a browser: what it shows comes by itself, and what it does acts.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';

import { tabTo } from '../support/app.mjs';
import { startChromium } from '../support/chromium.mjs';
import { clusterEnv, startEtcd } from '../support/etcd.mjs';
import { figure } from '../support/figures.mjs';
import { enter, publisher } from '../support/member.mjs';
import { SHAPED_ADDRESS, startServer } from '../support/server.mjs';
import { startShaper } from '../support/shaper.mjs';
import { openSocket } from '../support/socket.mjs';
import { sign } from '../support/tokens.mjs';

/** When the path of the second worker begins to lose, in seconds. */
const LOSSY_S = 30;

let etcd;
let workers;
let browser;
let page;
const strangers = [];

before(async () => {
  etcd = await startEtcd();
  // Sockets by hand send no pings.
  const env = { ...clusterEnv(etcd), TROUPE_SESSION__HEARTBEAT_INTERVAL: '60s' };
  workers = await Promise.all([false, true].map((shaped) => startServer({ env, shards: 1, shaped })));
  browser = await startChromium({ fps: 15, peer: SHAPED_ADDRESS });
  page = await browser.blank({ colorScheme: 'dark' });
  const [{ adminUrl }] = workers;
  page.on('request', (request) => {
    if (!request.url().startsWith(adminUrl)) strangers.push(request.url());
  });
});

after(async () => {
  await browser?.close();
  await Promise.all((workers ?? []).map((worker) => worker.stop()));
  await etcd?.stop();
});

const button = (name) => page.getByRole('button', { name });
const row = (kind, name) => page.locator(`tr[data-${kind}="${name}"]`);
const tab = (name) => page.getByRole('link', { name, exact: true }).click();

/** Joins a room by hand; follows it when it moves, as every client does. */
async function join(worker, room, identity) {
  const socket = await openSocket(worker);
  const answer = await socket.request('join', { token: worker.token(room, identity) });
  assert.ok(answer.result, JSON.stringify(answer));
  const moved = socket
    .next((frame) => frame.method === 'migrate', 60_000)
    .then(async ({ params: { url, token } }) => {
      const next = await openSocket({ url: url.replace('/v1/signal', '') });
      // The next worker may not have heard yet that the room is its own.
      for (let left = 10; left > 0; left -= 1) {
        const { result, error } = await next.request('join', { resume: token });
        if (result) break;
        await pause(error.data.retryAfterMs);
      }
      await socket.request('settled');
      return next;
    })
    .catch(() => undefined);
  return { socket, moved };
}

test('who has no token is told so, and who has one is let in by keyboard', async () => {
  await page.goto(workers[0].adminUrl);
  await page.getByLabel('Admin token').fill('no.good.token');
  await button('Sign in').click();
  await page.getByRole('alert').filter({ hasText: 'not believed' }).waitFor();
  const token = sign({ room: '*', identity: 'ops', troupe: { admin: 'admin' } });
  await page.getByLabel('Admin token').fill(token);
  await tabTo(page, /^Sign in$/);
  await page.keyboard.press('Enter');
  await page.getByText('ops (admin)').waitFor();
  await page.locator('.live[data-live=true]').waitFor();
  const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const dark = await ground();
  await button(/^Colours: system/).click();
  await button(/^Colours: dark/).click();
  assert.notEqual(await ground(), dark, 'light is another colour');
});

test('a room appears on every view by itself, on whichever worker it is', async (t) => {
  await page.getByRole('group', { name: /^2 workers/ }).waitFor();
  const began = Date.now();
  await join(workers[1], 'lobby', 'ann');
  await page.getByRole('link', { name: 'lobby: 1 peer' }).waitFor();
  await figure(t, 'a room of the other worker is seen after', Date.now() - began, 'ms');
  await join(workers[1], 'lobby', 'bob');
  await page.getByRole('link', { name: 'lobby: 2 peers' }).waitFor();
  await page.locator('.events li', { hasText: 'peer.joined' }).first().waitFor();
  await page.getByRole('img', { name: /^CPU, cores: wk_\S+ \d/ }).waitFor();

  await page.getByRole('link', { name: 'lobby: 2 peers' }).click();
  await row('peer', 'ann').waitFor();
  await row('peer', 'bob').getByText('active').waitFor();
});

test('a peer on a path that begins to lose is seen to get worse', async (t) => {
  const lossy = { delay_ms: 20, steps: [{ at_s: LOSSY_S, loss: 0.3 }] };
  const shaper = await startShaper(workers[1].ports.media, { up: lossy, down: lossy });
  const cam = await publisher(browser, workers[1], 'studio', 'cam', { publish: { width: 320, height: 180 } });
  const eye = await enter(browser, workers[1], 'studio', 'eye');
  await eye.seen(1);
  await tab('Rooms');
  await row('room', 'studio').getByRole('link', { name: 'studio' }).click();
  const quality = row('peer', 'cam').locator('.quality');
  const at = (level) => quality.and(page.locator(`[data-level=${level}]`));
  await at('good').waitFor();
  const whole = await quality.getByRole('meter', { name: 'quality' }).evaluate(({ value }) => value);
  assert.ok(whole >= 80, `${whole} %`);
  assert.ok(shaper.seconds < LOSSY_S, 'seen before it loses');
  await at('poor').waitFor({ timeout: 40_000 });
  await figure(t, 'shown as poor after it loses 30 % for', shaper.seconds - LOSSY_S, 's');
  assert.match(await quality.textContent(), /^\d+ %, loss$/);
  await Promise.all([cam.close(), eye.close()]);
  await row('peer', 'cam').waitFor({ state: 'detached' });
  await shaper.stop();
  await tab('Overview');
});

test('a flag that is flipped acts', async () => {
  await tab('Flags');
  const { socket } = await join(workers[1], 'lobby', 'eve');
  const chat = () => socket.request('chat', { text: 'hi' });
  assert.ok((await chat()).result);
  const flip = page.getByRole('switch', { name: 'chat-off' });
  await flip.click();
  await button('Switch on').click();
  await page.locator('[role=switch][aria-checked=true]', { hasText: 'chat-off' }).waitFor();
  const answers = [];
  for (let left = 50; left > 0 && !answers.at(-1)?.error; left -= 1) answers.push(await chat());
  assert.equal(answers.at(-1).error.data.type, 'unavailable');
  await flip.click();
  await page.locator('[role=switch][aria-checked=false]', { hasText: 'chat-off' }).waitFor();
  assert.ok((await chat()).result);
});

test('a value that cannot be used is refused, with its reason', async () => {
  await tab('Config');
  const section = page.locator('[data-section=limits]');
  const text = section.getByRole('textbox');
  await text.fill('{"joins": {"per_second": -1, "burst": 2}}');
  await button('Save limits').click();
  await section.getByRole('alert').filter({ hasText: /^limits: .*-1/ }).waitFor();
  await text.fill('{"joins": ');
  await button('Save limits').click();
  await section.getByRole('alert').filter({ hasText: 'JSON' }).waitFor();
  await text.fill('{"joins": {"per_second": 500, "burst": 900}}');
  await button('Save limits').click();
  await section.getByText('From the store').waitFor();
});

test('a room is moved and a worker drained, each after a question', async (t) => {
  await tab('Rooms');
  const [from, to] = await Promise.all(
    [1, 0].map(async (index) => {
      const { items } = await (await workers[index].admin('GET', 'workers')).json();
      return items.find(({ here }) => here).id;
    }),
  );
  const at = (worker) => row('room', 'lobby').locator(`[data-worker="${worker}"]`);
  await at(from).waitFor();
  await button('Move lobby').click();
  await page.getByRole('dialog').getByRole('button', { name: 'Cancel' }).click();
  await button('Move lobby').click();
  const began = Date.now();
  await page.getByRole('dialog').getByRole('button', { name: 'Move' }).click();
  await at(to).waitFor();
  await figure(t, 'a room is seen at its new worker after', Date.now() - began, 'ms');

  await tab('Workers');
  await page.locator('.move-row[data-room=lobby][data-ended=true]').waitFor();
  const steps = page.getByRole('list', { name: 'steps of lobby' }).getByRole('listitem');
  assert.deepEqual(await steps.allTextContents(), [
    ...['planned', 'prepared', 'committed', 'moving', 'drained'],
  ]);
  await row('worker', from).getByRole('button').click();
  await page.getByRole('dialog').getByRole('button', { name: 'Drain' }).click();
  await row('worker', from).getByText('draining').waitFor();

  await tab('Audit');
  for (const action of ['rooms/lobby/migrate', `workers/${from}/drain`, 'flags/chat-off', 'config']) {
    await page.getByRole('cell', { name: new RegExp(`/admin/v1/${action}$`) }).first().waitFor();
  }
  assert.deepEqual(strangers, [], 'nothing is loaded from elsewhere');
  await button('Sign out').click();
  await page.getByLabel('Admin token').waitFor();
});
