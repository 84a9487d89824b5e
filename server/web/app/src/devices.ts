/** Cameras and microphones as the page sees them. */

import { useEffect, useRef, useState } from 'preact/hooks';

/** The devices that can be chosen. */
export interface Devices {
  cameras: MediaDeviceInfo[];
  microphones: MediaDeviceInfo[];
  speakers: MediaDeviceInfo[];
}

const NONE: Devices = { cameras: [], microphones: [], speakers: [] };

/** Absent on pages without a secure context, whatever the type says. */
function mediaDevices(): MediaDevices | undefined {
  return navigator.mediaDevices;
}

/** The devices, as they come and go. Their names are known once the user has allowed one. */
export function useDevices(refresh: unknown): Devices {
  const [devices, setDevices] = useState(NONE);
  useEffect(() => {
    const source = mediaDevices();
    if (!source) return undefined;
    let current = true;
    const read = async (): Promise<void> => {
      const all = await source.enumerateDevices().catch(() => []);
      const of = (kind: MediaDeviceKind): MediaDeviceInfo[] =>
        all.filter((device) => device.kind === kind && device.deviceId !== '');
      if (!current) return;
      setDevices({ cameras: of('videoinput'), microphones: of('audioinput'), speakers: of('audiooutput') });
    };
    void read();
    const changed = (): void => void read();
    source.addEventListener('devicechange', changed);
    return () => {
      current = false;
      source.removeEventListener('devicechange', changed);
    };
  }, [refresh]);
  return devices;
}

/** A device's name, or its place in the list while the browser keeps the name to itself. */
export function labelOf(device: MediaDeviceInfo, index: number, what: string): string {
  return device.label === '' ? `${what} ${index + 1}` : device.label;
}

/**
 * Measures how loud a track is, sixteen times a second, and hands 0 to 1 to `show` without
 * rendering: a meter moves too often for that.
 */
export function useLevel(track: MediaStreamTrack | null, show: (level: number) => void): void {
  const latest = useRef(show);
  latest.current = show;
  useEffect(() => {
    if (!track || track.readyState === 'ended') return undefined;
    const context = new AudioContext();
    const analyser = context.createAnalyser();
    analyser.fftSize = 1024;
    context.createMediaStreamSource(new MediaStream([track])).connect(analyser);
    // Without a gesture the browser may keep the context asleep; the meter then rests.
    const wake = (): void => void context.resume();
    window.addEventListener('pointerdown', wake, { once: true });
    const samples = new Float32Array(analyser.fftSize);
    let level = 0;
    const timer = setInterval(() => {
      analyser.getFloatTimeDomainData(samples);
      const power = samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length;
      const decibels = 10 * Math.log10(power + 1e-9);
      const heard = Math.min(1, Math.max(0, (decibels + 60) / 55));
      level = Math.max(heard, level * 0.8);
      latest.current(level);
    }, 60);
    return () => {
      clearInterval(timer);
      window.removeEventListener('pointerdown', wake);
      latest.current(0);
      void context.close();
    };
  }, [track]);
}
