// What is not media: data channels, chat, reactions, messages, metadata, mute, the clock.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { startChromium } from '../support/chromium.mjs';
import { figure, median } from '../support/figures.mjs';
import { Member, audios, enter, publisher } from '../support/member.mjs';
import { startServer } from '../support/server.mjs';

const ROOM = 'talk';
const LOSSY = 200;

let server;
let browser;
let ada;
let ben;
let cleo;

before(async () => {
  server = await startServer();
  browser = await startChromium({ fps: 15 });
  ada = await publisher(browser, server, ROOM, 'ada');
  ben = await enter(browser, server, ROOM, 'ben');
  cleo = await enter(browser, server, ROOM, 'cleo');
  for (const { page } of [ada, ben, cleo]) {
    await page.evaluate(() => probe.until(() => call.room.data.isOpen, 15_000, 'data channels'));
  }
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

/** The messages on a topic that a member got. */
async function got(member, type, topic) {
  return (await member.events(type)).filter((event) => event.topic === topic);
}

test('reliable data: everything, in order, to the room and to one', async () => {
  await ada.page.evaluate(async () => {
    for (let index = 0; index < 300; index += 1) {
      await call.room.data.send('all', `message ${index}`, { reliable: true });
    }
    await call.room.data.send('one', 'for ben', { to: 'peer:ben', reliable: true });
  });
  await ben.told({ type: 'data', topic: 'one' });
  await cleo.told({ type: 'data', topic: 'all', seq: 299 });
  for (const member of [ben, cleo]) {
    const all = await got(member, 'data', 'all');
    assert.deepEqual(all.map(({ seq }) => seq), Array.from({ length: 300 }, (_, index) => index));
    assert.ok(all.every(({ from, reliable }) => from === 'ada' && reliable));
  }
  const [mine] = await got(ben, 'data', 'one');
  assert.deepEqual([mine.from, mine.to, mine.bytes], ['ada', 'peer:ben', 7]);
  assert.deepEqual(await got(cleo, 'data', 'one'), []);
  assert.deepEqual(await got(ada, 'data', 'all'), [], 'nothing comes back to the sender');
});

test('a payload of 3 MiB arrives whole', async (t) => {
  const started = Date.now();
  const sum = await ada.page.evaluate(async () => {
    const pattern = (_, index) => (index * 7 + (index >> 8)) % 256;
    const bytes = new Uint8Array(3 * 1024 * 1024).map(pattern);
    await call.room.data.send('file', bytes, { to: 'peer:cleo', reliable: true });
    return bytes.reduce((sum, byte) => (sum * 31 + byte) % 65_521, 0);
  });
  await cleo.told({ type: 'data', topic: 'file' }, 30_000);
  await figure(t, '3 MiB from page to page', Date.now() - started, 'ms');
  const [file] = await got(cleo, 'data', 'file');
  assert.equal(file.bytes, 3 * 1024 * 1024);
  assert.equal(file.sum, sum);
  assert.deepEqual(await got(ben, 'data', 'file'), []);
});

test('lossy data: none twice, none that was not sent, most of it on loopback', async (t) => {
  await ada.page.evaluate(async (count) => {
    for (let index = 0; index < count; index += 1) {
      await call.room.data.send('cursor', { x: index }, { reliable: false });
      await probe.pause(5);
    }
  }, LOSSY);
  await ben.page.waitForTimeout(1_000);
  const seqs = (await got(ben, 'data', 'cursor')).map(({ seq }) => seq);
  await figure(t, `lossy messages of ${LOSSY} that arrived`, seqs.length);
  assert.equal(new Set(seqs).size, seqs.length, 'none twice');
  assert.ok(seqs.every((seq) => seq >= 0 && seq < LOSSY));
  assert.ok(seqs.length >= LOSSY * 0.98, `${seqs.length} of ${LOSSY}`);
  assert.ok((await got(ben, 'data', 'cursor')).every(({ reliable }) => !reliable));
});

test('send by signalling: to the room, to one, to nobody', async () => {
  const results = await ada.page.evaluate(async () => [
    await call.room.send('vote', { choice: 2 }),
    await call.room.send('whisper', ['a', 1, null], 'peer:cleo'),
    await call.room.send('void', 0, 'peer:nobody').catch(({ type }) => type),
    await call.room.send('else', 0, 'room:elsewhere').catch(({ type }) => type),
  ]);
  assert.deepEqual(results, [{ delivered: 2 }, { delivered: 1 }, 'not_found', 'forbidden']);
  await cleo.told({ type: 'message', topic: 'whisper' });
  const [vote] = await got(ben, 'message', 'vote');
  assert.deepEqual([vote.from, vote.to, vote.payload], ['ada', 'room', { choice: 2 }]);
  const [whisper] = await got(cleo, 'message', 'whisper');
  assert.deepEqual(whisper.payload, ['a', 1, null]);
  assert.deepEqual(await got(ben, 'message', 'whisper'), []);
});

test('chat and reactions', async () => {
  const said = await ben.page.evaluate(() => call.room.chat('Grüße 👋'));
  assert.ok(said.messageId.length > 0);
  assert.ok(Math.abs(said.at - Date.now()) < 5_000);
  for (const member of [ada, ben, cleo]) await member.told({ type: 'chat', text: 'Grüße 👋' });
  const long = await ben.page.evaluate(() =>
    call.room.chat('x'.repeat(5_000)).catch(({ type }) => type),
  );
  assert.ok(['too_large', 'invalid_params'].includes(long), long);

  await Promise.all(
    [ada, ben].map(({ page }) =>
      page.evaluate(async () => {
        for (let index = 0; index < 5; index += 1) await call.room.react('👏');
      }),
    ),
  );
  await cleo.page.waitForTimeout(2_500);
  const told = (await cleo.events('reactions')).flatMap(({ reactions }) => reactions);
  assert.ok(told.length <= 4, 'coalesced by the second');
  assert.equal(told.reduce((sum, { count }) => sum + count, 0), 10);
  assert.ok(told.every(({ kind }) => kind === '👏'));
});

test('metadata is told to others and to those who come', async () => {
  await ada.page.evaluate(() => call.room.setMetadata({ hand: 'raised' }));
  const update = await ben.told({ type: 'peerUpdated', peerId: 'ada' });
  assert.deepEqual(update.metadata, { hand: 'raised' });
  const late = await enter(browser, server, ROOM, 'late');
  const seen = await late.page.evaluate(
    () => call.room.peers.find(({ peerId }) => peerId === 'ada').metadata,
  );
  assert.deepEqual(seen, { hand: 'raised' });
  await late.leave();
  await late.close();
});

test('muting is told, silences, and ends', async () => {
  const setMuted = (muted) =>
    ada.page.evaluate(async (muted) => {
      const track = call.room.localTracks.find(({ kind }) => kind === 'audio');
      await (muted ? track.mute() : track.unmute());
    }, muted);
  const untilMuted = (member, muted) =>
    member.page.evaluate((muted) => {
      const audio = () => call.room.tracks.find(({ kind }) => kind === 'audio');
      return probe.until(() => audio()?.muted === muted, 5_000, `muted: ${muted}`);
    }, muted);
  await ben.page.evaluate(() => probe.until(() => call.room.tracks.length === 2, 5_000, 'tracks'));
  await setMuted(true);
  await Promise.all([untilMuted(ben, true), untilMuted(cleo, true)]);
  await ben.page.waitForTimeout(1_000);
  const quiet = audios(await ben.receive(1_500));
  assert.ok(quiet.every(({ energy }) => energy < 1e-6), JSON.stringify(quiet));
  await setMuted(false);
  await Promise.all([untilMuted(ben, false), untilMuted(cleo, false)]);
  await ben.page.waitForTimeout(500);
  const [loud] = audios(await ben.receive(2_500));
  assert.ok(loud.energy > 1e-4, JSON.stringify(loud));
});

test('the clock of the server', async (t) => {
  const offsets = await ben.page.evaluate(async () => {
    const list = [];
    for (let index = 0; index < 5; index += 1) {
      await call.room.clock.measure();
      list.push(call.room.clock.offsetMs);
    }
    return list;
  });
  await figure(t, 'offset of a clock on the same machine', median(offsets), 'ms');
  assert.ok(Math.abs(median(offsets)) < 50, offsets.join(' '));
});

test('without the grant nothing is said', async () => {
  const { sign } = await import('../support/tokens.mjs');
  const mute = new Member(await browser.page(), server, ROOM, 'mute');
  const token = sign({ room: ROOM, identity: 'mute', troupe: { data: false, publish: false } });
  await mute.enter({ token });
  const refused = await mute.page.evaluate(async () => [
    await call.room.send('vote', 1).catch(({ type }) => type),
    await call.publish().catch(({ type }) => type),
  ]);
  assert.deepEqual(refused, ['forbidden', 'forbidden']);
  await mute.page.evaluate(() => call.room.data.send('all', 'unheard', { reliable: true }));
  await mute.page.waitForTimeout(500);
  assert.deepEqual((await got(ben, 'data', 'all')).filter(({ from }) => from === 'mute'), []);
  await mute.close();
});
