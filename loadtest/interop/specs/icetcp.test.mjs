// A network that lets no UDP out: media goes by ICE over TCP (RFC 6544, framed by RFC 4571).

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { startChromium } from '../support/chromium.mjs';
import { figure, sum } from '../support/figures.mjs';
import { Member, audios, publisher, videos } from '../support/member.mjs';
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

/** A page to which the server's UDP candidates never come. */
async function withoutUdp(room, identity) {
  const page = await browser.page();
  await page.evaluate(() => {
    const apply = RTCPeerConnection.prototype.setRemoteDescription;
    RTCPeerConnection.prototype.setRemoteDescription = function ({ type, sdp }) {
      const lines = sdp.split('\r\n').filter((line) => !/^a=candidate:\S+ \d+ udp /i.test(line));
      return apply.call(this, { type, sdp: lines.join('\r\n') });
    };
  });
  return new Member(page, server, room, identity);
}

/** The protocol of the path in use. */
function protocol(member) {
  return member.page.evaluate(async () => {
    const report = await call.room.peerConnection.getStats();
    const pairs = [...report.values()].filter(({ type }) => type === 'candidate-pair');
    const used = pairs.find(({ nominated, state }) => nominated && state === 'succeeded');
    const { protocol, tcpType, port } = report.get(used.remoteCandidateId);
    return { protocol, tcpType, port };
  });
}

test('both ways over TCP, with one who has UDP', async (t) => {
  const tcp = await withoutUdp('tcp', 'tcp');
  await tcp.enter();
  await tcp.page.evaluate(() => call.publish());
  const udp = await publisher(browser, server, 'tcp', 'udp');
  await Promise.all([tcp.seen(1), udp.seen(1)]);
  await udp.page.waitForTimeout(2_000);
  assert.deepEqual(await protocol(tcp), {
    protocol: 'tcp',
    tcpType: 'passive',
    port: server.ports.media,
  });
  assert.equal((await protocol(udp)).protocol, 'udp');

  const received = await Promise.all([tcp.receive(5_000), udp.receive(5_000)]);
  for (const [index, rows] of received.entries()) {
    const [video] = videos(rows);
    await figure(t, `${['TCP', 'UDP'][index]} side decodes`, video.fps, 'fps');
    assert.ok(video.fps >= 12, JSON.stringify(video));
    assert.equal(video.width, 640);
    assert.equal(video.freezes, 0, JSON.stringify(video));
    assert.ok(audios(rows)[0].energy > 0);
    assert.equal(sum(rows, 'lost'), 0, JSON.stringify(rows));
  }
  await Promise.all([tcp.close(), udp.close()]);
});

test('first frame over TCP', async (t) => {
  const sender = await publisher(browser, server, 'tcp-first', 'sender');
  await sender.page.waitForTimeout(1_000);
  const viewer = await withoutUdp('tcp-first', 'viewer');
  const time = await viewer.page.evaluate(
    ({ url, token }) => call.enterAndSee(url, token),
    { url: server.url, token: server.token('tcp-first', 'viewer') },
  );
  await figure(t, 'join → first frame over TCP', time.firstFrameMs, 'ms');
  assert.ok(time.firstFrameMs < 5_000);
  await Promise.all([sender.close(), viewer.close()]);
});
