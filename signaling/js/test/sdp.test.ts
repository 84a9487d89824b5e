import assert from 'node:assert/strict';
import { test } from 'node:test';

import { askForSound } from '../src/sdp.js';

const OFFER = [
  'v=0',
  'm=audio 9 UDP/TLS/RTP/SAVPF 111 63',
  'a=rtpmap:111 opus/48000/2',
  'a=rtcp-fb:111 transport-cc',
  'a=rtpmap:63 red/48000/2',
  'm=video 9 UDP/TLS/RTP/SAVPF 96',
  'a=rtpmap:96 VP8/90000',
  'm=audio 9 UDP/TLS/RTP/SAVPF 109',
  'a=rtpmap:109 opus/48000/2',
  '',
].join('\r\n');

test('lost sound is asked for in every audio section, once', () => {
  const once = askForSound(OFFER);
  const lines = once.split('\r\n');
  assert.deepEqual(
    lines.filter((line) => line.endsWith(' nack')),
    ['a=rtcp-fb:111 nack', 'a=rtcp-fb:109 nack'],
  );
  const rest = lines.filter((line) => !line.endsWith(' nack')).join('\r\n');
  assert.equal(rest, OFFER, 'nothing else changes');
  assert.ok(lines.indexOf('a=rtcp-fb:111 nack') > lines.indexOf('a=rtpmap:111 opus/48000/2'));
  assert.equal(askForSound(once), once);
  assert.equal(askForSound('v=0\r\n'), 'v=0\r\n');
});
