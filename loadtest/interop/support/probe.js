// Runs in the page: what WebRTC itself says was received and decoded. No SDK in here, so that the
// measuring end shares no code with what is measured.

/** Every `inbound-rtp` row of a connection, by media id. */
export async function inbound(connection) {
  const rows = {};
  for (const row of (await connection.getStats()).values()) {
    if (row.type === 'inbound-rtp') rows[row.mid] = row;
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
 * Returns a row for each media id: kind, frames decoded in the time and their rate, freezes, audio
 * energy gained, packets lost, concealed samples.
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
      fps: gained('framesDecoded') / seconds,
      freezes: gained('freezeCount'),
      width: row.frameWidth,
      height: row.frameHeight,
      energy: gained('totalAudioEnergy'),
      packets: gained('packetsReceived'),
      lost: gained('packetsLost'),
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
