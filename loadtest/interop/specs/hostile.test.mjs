// What must not work gets its stated answer, and a call beside it does not notice.

import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, test } from 'node:test';

import { startChromium } from '../support/chromium.mjs';
import { figure, sum } from '../support/figures.mjs';
import { flood } from '../support/flood.mjs';
import { publisher, videos } from '../support/member.mjs';
import { startServer } from '../support/server.mjs';
import { openSocket } from '../support/socket.mjs';
import { sign, signOnce } from '../support/tokens.mjs';

const ROOM = 'calm';
const FLOOD = { perSecond: 10_000, ms: 10_000 };
const FRAME_BYTES_MAX = 256 * 1024;
const MESSAGES_MAX = 600;
// What a session may ask at once.
const BURST = 200;

let server;
let browser;
let members;
let started;

before(async () => {
  server = await startServer();
  browser = await startChromium({ fps: 15 });
  members = [
    await publisher(browser, server, ROOM, 'ada'),
    await publisher(browser, server, ROOM, 'ben'),
  ];
  await Promise.all(members.map((member) => member.seen(1)));
  await members[0].page.waitForTimeout(2_000);
});

// Each test runs beside the call, and at its end the call must not have noticed.
beforeEach(async () => {
  started = await Promise.all(members.map(totals));
});

afterEach(async () => {
  const ended = await Promise.all(members.map(totals));
  for (const [index, total] of ended.entries()) {
    const begun = started[index];
    const gained = (name) => total[name] - begun[name];
    const seen = JSON.stringify({ begun, total });
    assert.equal(gained('freezes'), 0, `the call froze: ${seen}`);
    assert.equal(gained('lost'), 0, `the call lost packets: ${seen}`);
    const fps = (gained('frames') * 1_000) / (total.at - begun.at);
    if (total.at - begun.at > 1_000) assert.ok(fps >= 12, `${fps} fps: ${seen}`);
  }
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

/** What all of the call receive in a while. */
async function received(ms) {
  return (await Promise.all(members.map((member) => member.receive(ms)))).flat();
}

/** The share of what was played that the browser made up. */
function concealedShare(rows) {
  return sum(rows, 'concealed') / Math.max(1, sum(rows, 'samples'));
}

function totals(member) {
  return member.page.evaluate(async () => {
    const rows = Object.values(await probe.inbound(call.room.peerConnection));
    const of = (name) => rows.reduce((total, row) => total + (row[name] ?? 0), 0);
    return {
      at: performance.now(),
      freezes: of('freezeCount'),
      lost: of('packetsLost'),
      frames: of('framesDecoded'),
    };
  });
}

const typeOf = (answer) => answer.error?.data?.type;

test('10,000 garbage datagrams a second for ten seconds', async (t) => {
  const before = concealedShare(await received(FLOOD.ms / 2));
  const cpu = await server.cpuSeconds();
  const watching = received(FLOOD.ms);
  const sent = await flood(server.ports.media, FLOOD);
  const rows = await watching;
  await figure(t, 'datagrams sent', sent);
  await figure(t, 'server CPU under it', ((await server.cpuSeconds()) - cpu) * 10, '% of a core');
  assert.ok(sent >= 95_000);
  for (const video of videos(rows)) {
    await figure(t, 'the call decodes', video.fps, 'fps');
    assert.ok(video.fps >= 12, JSON.stringify(video));
  }
  assert.equal(sum(rows, 'lost'), 0, JSON.stringify(rows));
  assert.equal(sum(rows, 'dropped'), 0, JSON.stringify(rows));
  assert.equal(sum(rows, 'freezes'), 0, JSON.stringify(rows));
  // A busy machine makes the browser's own buffer stretch a few milliseconds though every packet
  // came; a lost 20 ms frame a second would be 2 %.
  const after = concealedShare(rows);
  await figure(t, 'concealed before it', before * 100, '%');
  await figure(t, 'concealed under it', after * 100, '%');
  assert.ok(after < before + 0.01, JSON.stringify(rows));
});

test('wrong tokens', async () => {
  const identity = 'mallory';
  const now = Math.floor(Date.now() / 1000);
  const good = { room: ROOM, identity };
  const cases = [
    ['no token at all', undefined, 'unauthorized', 401],
    ['not a token', 'abc.def', 'unauthorized', 401],
    ['signed by another', sign({ ...good, secret: 'guess' }), 'unauthorized', 401],
    ['unsigned', sign({ ...good, algorithm: 'none' }), 'unauthorized', 401],
    ['of an unknown key', sign({ ...good, claims: { iss: 'nobody' } }), 'unauthorized', 401],
    ['expired', sign({ ...good, claims: { iat: now - 700, exp: now - 60 } }), 'unauthorized', 401],
    ['from the future', sign({ ...good, claims: { nbf: now + 300 } }), 'unauthorized', 401],
    ['no grant', sign({ ...good, troupe: { publish: false } }), 'forbidden', 403],
    ['of another room', sign({ ...good, room: 'elsewhere' }), 'forbidden', 403],
  ];
  for (const [name, token, word, status] of cases) {
    const headers = { 'content-type': 'application/sdp' };
    if (token) headers.authorization = `Bearer ${token}`;
    const options = { method: 'POST', headers, body: 'v=0' };
    const response = await fetch(`${server.url}/whip/${ROOM}`, options);
    assert.equal(response.status, status, name);
    assert.match(response.headers.get('content-type'), /^application\/problem\+json/, name);
    assert.equal((await response.json()).type, `urn:troupe:error:${word}`, name);

    if (name === 'no grant') continue;
    const socket = await openSocket(server, { query: `?room=${ROOM}` });
    const answer = await socket.request('join', token ? { token } : {});
    assert.equal(typeOf(answer), word, name);
    socket.end();
  }
});

test('a replayed token', async () => {
  const token = signOnce('replays', 'eve');
  const first = await openSocket(server);
  assert.equal((await first.request('join', { token, nonce: 'one' })).result.peerId, 'eve');
  const again = await openSocket(server);
  const repeated = await again.request('join', { token, nonce: 'one' });
  assert.equal(repeated.result?.peerId, 'eve', 'the same nonce repeats the answer');
  const second = await openSocket(server);
  assert.equal(typeOf(await second.request('join', { token, nonce: 'two' })), 'replayed');
  assert.equal(typeOf(await second.request('join', { token })), 'replayed');
  for (const socket of [first, again, second]) socket.end();
});

test('malformed offers', async () => {
  const socket = await openSocket(server);
  await socket.request('join', { token: sign({ room: 'bad-sdp', identity: 'eve' }) });
  const offers = [
    '',
    'v=0',
    'not SDP at all',
    'v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=video 9 UDP/TLS/RTP/SAVPF\r\n',
    `v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n${'m=audio 9 X 0\r\n'.repeat(5_000)}`,
    `v=0\r\na=${'x'.repeat(100_000)}\r\n`,
    'v=0\r\n\u0000\r\n'.repeat(100),
  ];
  for (const sdp of offers) {
    const answer = await socket.request('offer', { sdp });
    assert.equal(typeOf(answer), 'bad_sdp', JSON.stringify(sdp.slice(0, 60)));
  }
  assert.equal(typeOf(await socket.request('offer', { sdp: 7 })), 'invalid_params');
  assert.deepEqual((await socket.request('ping')).result, {}, 'the session goes on');
  socket.end();
});

test('frames that are too large, and none at all', async () => {
  const socket = await openSocket(server);
  const large = JSON.stringify({ jsonrpc: '2.0', id: 'x', method: 'ping', params: {} });
  const answered = socket.next(({ error }) => error);
  socket.raw(large + ' '.repeat(FRAME_BYTES_MAX));
  assert.equal(typeOf(await answered), 'too_large');
  assert.deepEqual((await socket.request('ping')).result, {}, 'an error, not a disconnect');

  socket.raw('x'.repeat(4 * FRAME_BYTES_MAX));
  assert.equal((await socket.closed).code, 1009);
});

test('the tenth malformed frame in a minute closes the socket with 1008', async () => {
  const socket = await openSocket(server);
  for (let index = 0; index < 10; index += 1) socket.raw('{"not": "a request"');
  assert.equal((await socket.closed).code, 1008);
  const errors = socket.frames.filter(({ error }) => error);
  assert.equal(errors.length, 10);
  for (const { error } of errors) {
    assert.deepEqual([error.code, error.data.type], [-32700, 'parse_error']);
  }
});

test('what is no method, or comes before the join', async () => {
  const socket = await openSocket(server);
  assert.equal(typeOf(await socket.request('dance')), 'method_not_found');
  assert.equal(typeOf(await socket.request('chat', { text: 'hi' })), 'not_joined');
  assert.equal(typeOf(await socket.request('join', { token: 7 })), 'invalid_params');
  socket.end();
});

test('a flood of requests is limited', async (t) => {
  const socket = await openSocket(server);
  await socket.request('join', { token: sign({ room: 'busy', identity: 'eve' }) });
  const asked = Array.from({ length: 1_000 }, () => socket.request('ping'));
  const answers = await Promise.all(asked);
  const limited = answers.filter((answer) => typeOf(answer) === 'rate_limited');
  await figure(t, 'of 1,000 requests at once, limited', limited.length);
  // The join took one, and some come back while the others arrive.
  assert.ok(answers.length - limited.length >= BURST - 1);
  assert.ok(limited.length >= 400);
  assert.ok(limited.every(({ error }) => error.data.retryAfterMs >= 0));
  socket.end();
});

/** Enters by hand, and pings as a client must. */
async function talker(room, identity) {
  const socket = await openSocket(server);
  await socket.request('join', { token: sign({ room, identity }) });
  const ping = setInterval(() => socket.request('ping').catch(() => undefined), 2_000);
  void socket.closed.then(() => clearInterval(ping));
  return socket;
}

test('one who reads slowly is told to come back, and holds up nobody', async (t) => {
  const slow = await talker('reading', 'slow');
  const quick = await talker('reading', 'quick');
  const talkers = [];
  for (const name of ['a', 'b', 'c', 'd']) talkers.push(await talker('reading', name));
  const heard = () => quick.frames.filter(({ method }) => method === 'message').length;
  const lost = () =>
    quick.frames.some(
      ({ method, params }) => method === 'peerUpdated' && params.state === 'reconnecting',
    );
  slow.stopReading();
  const payload = 'x'.repeat(200_000);
  let sent = 0;
  // The kernel's buffers take up to 36 MiB before the server's own queue fills.
  for (let turn = 0; sent < MESSAGES_MAX && !lost(); turn += 1) {
    const params = { to: 'room', topic: 'noise', payload };
    const { result } = await talkers[turn % talkers.length].request('send', params);
    if (result) sent += 1;
    else await new Promise((resolve) => setTimeout(resolve, 10));
  }
  await figure(t, 'messages of 200 kB until the slow one was let go', sent);
  assert.ok(sent < MESSAGES_MAX, 'the slow reader was let go');
  for (let wait = 0; wait < 50 && heard() < sent; wait += 1) {
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assert.equal(heard(), sent, 'the quick one got all of them');
  slow.socket.resume();
  const closed = await slow.closed;
  const closing = slow.frames.find(({ method }) => method === 'closing');
  t.diagnostic(`slow reader: ${JSON.stringify({ closing, closed })}`);
  assert.equal(closing?.params.reason, 'slow_client');
  for (const socket of [quick, ...talkers]) socket.end();
});
