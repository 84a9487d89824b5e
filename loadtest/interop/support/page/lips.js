// Runs in the page: flashes with beeps, and how far apart they are where they come out.

/** Seconds between flashes, and how long each lasts. */
const [PERIOD, LENGTH] = [1, 0.12];
/** Louder than this is a beep. */
const LOUD = 0.05;
const TONE_HZ = 1_000;

const LISTENER = `
registerProcessor('listener', class extends AudioWorkletProcessor {
  quiet = 0;
  process([input]) {
    const samples = input[0];
    if (!samples) return true;
    for (let at = 0; at < samples.length; at += 1) {
      if (Math.abs(samples[at]) < ${LOUD}) {
        this.quiet += 1;
      } else {
        if (this.quiet > sampleRate * 0.3) this.port.postMessage((currentFrame + at) / sampleRate);
        this.quiet = 0;
      }
    }
    return true;
  }
});`;

/** A camera that flashes and a microphone that beeps at the same time, once a second. */
export async function flashes(fps) {
  const canvas = Object.assign(document.createElement('canvas'), { width: 640, height: 360 });
  document.querySelector('#stage').append(canvas);
  const context = canvas.getContext('2d');
  const audio = new AudioContext();
  await audio.resume();
  const tone = new OscillatorNode(audio, { frequency: TONE_HZ });
  const gain = new GainNode(audio, { gain: 0 });
  const sink = audio.createMediaStreamDestination();
  tone.connect(gain).connect(sink);
  tone.start();
  let [frame, lit] = [0, 0];
  const [every, lasts] = [Math.round(PERIOD * fps), Math.round(LENGTH * fps)];
  setInterval(() => {
    if (frame % every === 0) {
      const now = audio.currentTime;
      gain.gain.setValueAtTime(0.5, now);
      gain.gain.setValueAtTime(0, now + LENGTH);
      lit = frame + lasts;
    }
    context.fillStyle = frame < lit ? '#fff' : '#000';
    context.fillRect(0, 0, 640, 360);
    // Something moves, so that each picture is another.
    context.fillStyle = '#575';
    context.fillRect((frame * 8) % 640, 300, 40, 40);
    frame += 1;
  }, 1_000 / fps);
  return new MediaStream([
    ...canvas.captureStream(fps).getVideoTracks(),
    ...sink.stream.getAudioTracks(),
  ]);
}

function brightness(video, context) {
  // The part below the time code.
  context.drawImage(video, 0, video.videoHeight * 0.3, video.videoWidth, video.videoHeight * 0.4, 0, 0, 4, 4);
  const { data } = context.getImageData(0, 0, 4, 4);
  return data.reduce((sum, value, at) => sum + (at % 4 === 3 ? 0 : value), 0) / 48;
}

/**
 * Watches and listens to a `<video>`, and to `stream` in place of its own sound, for `ms`.
 * Returns for each flash how much later its beep is heard, in ms, and the beeps' frequency in Hz.
 */
export async function lips(video, stream, ms) {
  const audio = new AudioContext();
  await audio.resume();
  const module = URL.createObjectURL(new Blob([LISTENER], { type: 'text/javascript' }));
  await audio.audioWorklet.addModule(module);
  const listener = new AudioWorkletNode(audio, 'listener');
  const analyser = new AnalyserNode(audio, { fftSize: 4096, smoothingTimeConstant: 0 });
  const source = stream ? audio.createMediaStreamSource(stream) : audio.createMediaElementSource(video);
  source.connect(listener).connect(audio.destination);
  source.connect(analyser);
  const [flashes, beeps, levels] = [[], [], new Float32Array(analyser.frequencyBinCount)];
  let loudest = { level: -Infinity, frequency: 0 };
  listener.port.onmessage = ({ data }) => {
    const { contextTime, performanceTime } = audio.getOutputTimestamp();
    beeps.push(performanceTime + (data - contextTime) * 1_000);
  };
  const ear = setInterval(() => {
    analyser.getFloatFrequencyData(levels);
    const peak = levels.indexOf(Math.max(...levels));
    if (levels[peak] > loudest.level) {
      loudest = { level: levels[peak], frequency: (peak * audio.sampleRate) / analyser.fftSize };
    }
  }, 30);
  const canvas = Object.assign(document.createElement('canvas'), { width: 4, height: 4 });
  const context = canvas.getContext('2d', { willReadFrequently: true });
  let [dark, pictures] = [false, 0];
  const end = performance.now() + ms;
  await new Promise((resolve) => {
    const look = (_, { expectedDisplayTime }) => {
      pictures += 1;
      const bright = brightness(video, context) > 160;
      if (bright && dark) flashes.push(expectedDisplayTime);
      dark = !bright;
      if (performance.now() < end) video.requestVideoFrameCallback(look);
    };
    video.requestVideoFrameCallback(look);
    setTimeout(resolve, ms + 200);
  });
  clearInterval(ear);
  const apart = flashes.flatMap((flash) => {
    const off = beeps.map((beep) => beep - flash).sort((a, b) => Math.abs(a) - Math.abs(b));
    return off.length > 0 && Math.abs(off[0]) < (PERIOD * 1_000) / 2 ? [off[0]] : [];
  });
  await audio.close();
  return { apart, pictures, flashes: flashes.length, beeps: beeps.length, ...loudest };
}
