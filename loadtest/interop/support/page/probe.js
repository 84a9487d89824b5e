// Runs in the page: what WebRTC itself says was received and decoded. No SDK in here, so that the
// measuring end shares no code with what is measured.

/** Every `inbound-rtp` row of a connection, by media id, with the codec's name. */
export async function inbound(connection) {
  const report = await connection.getStats();
  const rows = {};
  for (const row of report.values()) {
    const codec = report.get(row.codecId)?.mimeType.split('/')[1] ?? null;
    if (row.type === 'inbound-rtp') rows[row.mid] = { ...row, codec };
  }
  return rows;
}

/** Every `outbound-rtp` row of a connection. */
export async function outbound(connection) {
  const rows = [...(await connection.getStats()).values()];
  return rows.filter((row) => row.type === 'outbound-rtp');
}

/** Resolves after `ms`. */
export function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Resolves once `check` is truthy; rejects after `ms`. */
export async function until(check, ms, what) {
  const end = performance.now() + ms;
  for (;;) {
    const value = await check();
    if (value) return value;
    if (performance.now() > end) throw new Error(`not within ${ms} ms: ${what}`);
    await pause(20);
  }
}

/**
 * Watches all that a connection receives for `ms`.
 * Returns a row for each media id: kind, codec, frames decoded in the time and their rate, kb/s,
 * freezes, audio energy gained, packets lost, concealed samples; `total` is what was decoded since
 * the start.
 */
export async function watch(connection, ms) {
  const [before, started] = [await inbound(connection), performance.now()];
  await pause(ms);
  const [after, seconds] = [await inbound(connection), (performance.now() - started) / 1000];
  return Object.values(after).map((row) => {
    const earlier = before[row.mid] ?? {};
    const gained = (name) => (row[name] ?? 0) - (earlier[name] ?? 0);
    return {
      mid: row.mid,
      kind: row.kind,
      frames: gained('framesDecoded'),
      total: row.framesDecoded ?? row.packetsReceived,
      fps: gained('framesDecoded') / seconds,
      kbps: (gained('bytesReceived') * 8) / seconds / 1_000,
      freezes: gained('freezeCount'),
      dropped: gained('framesDropped'),
      codec: row.codec,
      width: row.frameWidth,
      height: row.frameHeight,
      energy: gained('totalAudioEnergy'),
      packets: gained('packetsReceived'),
      lost: gained('packetsLost'),
      nacks: gained('nackCount'),
      concealed: gained('concealedSamples') - gained('silentConcealedSamples'),
      samples: gained('totalSamplesReceived'),
    };
  });
}

/** The fake camera and microphone at a given size and rate. */
export function camera(width, height, frameRate) {
  return navigator.mediaDevices.getUserMedia({
    audio: true,
    video: { width, height, frameRate },
  });
}

/** The time in ms until a `<video>` presents its first frame, from `started` (performance.now()). */
export function firstFrame(stream, started) {
  const video = document.createElement('video');
  Object.assign(video, { muted: true, autoplay: true, playsInline: true, srcObject: stream });
  document.querySelector('#stage').append(video);
  // What is not played is not decoded: without this there is no audio energy to measure.
  const sound = Object.assign(new Audio(), { srcObject: stream });
  stream.addEventListener('addtrack', () => sound.play());
  sound.play().catch(() => undefined);
  return new Promise((resolve) => {
    video.requestVideoFrameCallback(() => resolve(performance.now() - started));
  });
}

async function gathered(connection) {
  if (connection.iceGatheringState === 'complete') return;
  await new Promise((resolve) => {
    connection.addEventListener('icegatheringstatechange', () => {
      if (connection.iceGatheringState === 'complete') resolve();
    });
  });
}

async function exchange(connection, url, token) {
  await connection.setLocalDescription();
  await gathered(connection);
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/sdp', authorization: `Bearer ${token}` },
    body: connection.localDescription.sdp,
  });
  if (response.status !== 201) throw new Error(`${response.status}: ${await response.text()}`);
  await connection.setRemoteDescription({ type: 'answer', sdp: await response.text() });
  return {
    location: new URL(response.headers.get('location'), url).href,
    etag: response.headers.get('etag'),
    link: response.headers.get('link'),
  };
}

/** Publishes a stream by WHIP (RFC 9725) with nothing but RTCPeerConnection and fetch. */
export async function whip(url, token, stream) {
  const connection = new RTCPeerConnection();
  for (const track of stream.getTracks()) {
    connection.addTransceiver(track, { direction: 'sendonly', streams: [stream] });
  }
  return { connection, ...(await exchange(connection, url, token)) };
}

/** Plays by WHEP with nothing but RTCPeerConnection and fetch. */
export async function whep(url, token) {
  const connection = new RTCPeerConnection();
  const stream = new MediaStream();
  connection.ontrack = ({ track }) => stream.addTrack(track);
  connection.addTransceiver('audio', { direction: 'recvonly' });
  connection.addTransceiver('video', { direction: 'recvonly' });
  return { connection, stream, ...(await exchange(connection, url, token)) };
}

/** Resolves once media can flow. */
export function connected(connection) {
  return until(() => connection.connectionState === 'connected', 15_000, 'connected');
}

/** `PATCH` of a session with a trickle fragment (RFC 8840); resolves to the response. */
function patch({ location }, etag, ufrag, pwd, lines = []) {
  const body = [`a=ice-ufrag:${ufrag}`, `a=ice-pwd:${pwd}`, ...lines, ''].join('\r\n');
  const headers = { 'content-type': 'application/trickle-ice-sdpfrag' };
  if (etag) headers['if-match'] = etag;
  return fetch(location, { method: 'PATCH', headers, body });
}

const lineOf = (sdp, name) => new RegExp(`^a=${name}:(.*)$`, 'm').exec(sdp)[1].trim();

/** The description of the server with the credentials and candidates of a fragment. */
function withIce(sdp, fragment) {
  const candidates = fragment.split('\r\n').filter((line) => line.startsWith('a=candidate:'));
  return sdp
    .split('\r\n')
    .filter((line) => !line.startsWith('a=candidate:'))
    .flatMap((line) => {
      if (line.startsWith('a=ice-ufrag:')) return `a=ice-ufrag:${lineOf(fragment, 'ice-ufrag')}`;
      if (line.startsWith('a=ice-pwd:')) return `a=ice-pwd:${lineOf(fragment, 'ice-pwd')}`;
      return line.startsWith('a=mid:') ? [line, ...candidates] : line;
    })
    .join('\r\n');
}

/** Trickles, restarts ICE by `PATCH`, and tries what must be refused; the statuses. */
export async function restart(session) {
  const { connection, etag } = session;
  const old = connection.localDescription.sdp;
  const [oldUfrag, oldPwd] = [lineOf(old, 'ice-ufrag'), lineOf(old, 'ice-pwd')];
  const missing = await patch(session, null, oldUfrag, oldPwd);
  const stale = await patch(session, '"another"', oldUfrag, oldPwd);
  const candidate = 'a=candidate:1 1 udp 2130706431 127.0.0.1 9 typ host';
  const lines = ['m=audio 9 UDP/TLS/RTP/SAVPF 0', 'a=mid:0', candidate];
  const trickle = await patch(session, etag, oldUfrag, oldPwd, lines);

  connection.restartIce();
  await connection.setLocalDescription();
  await gathered(connection);
  const { sdp } = connection.localDescription;
  const restarted = await patch(session, etag, lineOf(sdp, 'ice-ufrag'), lineOf(sdp, 'ice-pwd'));
  const fragment = await restarted.text();
  const answer = withIce(connection.remoteDescription.sdp, fragment);
  await connection.setRemoteDescription({ type: 'answer', sdp: answer });
  await connected(connection);
  return {
    missing: missing.status,
    stale: stale.status,
    trickle: trickle.status,
    restart: restarted.status,
    etagBefore: etag,
    etagAfter: restarted.headers.get('etag'),
  };
}
