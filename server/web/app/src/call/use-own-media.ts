/** One's own microphone, camera and screen: published, muted and changed by buttons and keys. */

import type { LocalTrack, Room, TrackSource } from '@troupe/client';
import { TroupeError } from '@troupe/client';
import { useCallback, useEffect, useRef, useState } from 'preact/hooks';

import type { Entry } from '../lobby.js';
import { explainDevice } from '../messages.js';
import { savePreferences } from '../preferences.js';
import type { Kiosk } from '../route.js';
import { LastWish } from './last-wish.js';
import { useTrack } from './use-events.js';
import type { Notify } from './use-notices.js';

/** What can be switched. */
export type Device = 'microphone' | 'camera' | 'screen';

/** One's own media and what can be done with it. */
export interface OwnMedia {
  microphone: LocalTrack | null;
  camera: LocalTrack | null;
  screen: LocalTrack | null;
  /** Being opened or closed. */
  busy: ReadonlySet<Device>;
  toggle: (device: Device) => void;
  choose: (device: 'microphone' | 'camera', deviceId: string) => void;
}

const NAMES: Record<Device, string> = {
  microphone: 'The microphone',
  camera: 'The camera',
  screen: 'The screen',
};

/** Whether a track is there and not muted. */
export function isOn(track: LocalTrack | null): boolean {
  return track !== null && !track.muted && !track.ended;
}

function cameraOptions(kiosk: Kiosk): Parameters<Room['publishCamera']>[0] {
  return {
    ...kiosk.camera,
    ...(kiosk.layers === null ? {} : { layers: kiosk.layers }),
    ...(kiosk.codec === null ? {} : { codec: kiosk.codec }),
    ...(kiosk.svc === null ? {} : { scalabilityMode: kiosk.svc }),
  };
}

const fromDevice = (deviceId: string): { deviceId?: string } => (deviceId === '' ? {} : { deviceId });

export function useOwnMedia(room: Room, entry: Entry, kiosk: Kiosk, notify: Notify): OwnMedia {
  const [busy, setBusy] = useState<ReadonlySet<Device>>(new Set());
  const wishes = useRef(new LastWish<Device>());
  /** What a device was last told to be, while it is on the way there. */
  const wanted = useRef(new Map<Device, boolean>());
  const find = (source: TrackSource): LocalTrack | null =>
    room.localTracks.find((track) => track.source === source) ?? null;
  const [microphone, camera, screen] = [find('microphone'), find('camera'), find('screen')];
  useTrack(microphone);
  useTrack(camera);
  useTrack(screen);

  /** Does one thing with a device at a time, and says what went wrong. */
  const attempt = useCallback(async (device: Device, kind: string, work: () => Promise<unknown>) => {
    const doing = wishes.current.run(device, kind, async () => {
      try {
        await work();
      } catch (cause) {
        const error = TroupeError.from(cause);
        // Whoever closes the browser's picker of screens has said all there is to say.
        const declined = device === 'screen' && error.type === 'permission_denied';
        if (error.type !== 'closed' && !declined) {
          const { title, text } = explainDevice(NAMES[device], error);
          notify({ title, text, bad: true });
        }
      }
    });
    setBusy(new Set(wishes.current.busy));
    await doing;
    if (!wishes.current.busy.includes(device)) wanted.current.delete(device);
    setBusy(new Set(wishes.current.busy));
  }, []);

  const open = useCallback((device: Device, media: MediaStreamTrack | null = null) => {
    const given = media?.readyState === 'live' ? { media } : {};
    switch (device) {
      case 'microphone':
        return room.publishMicrophone({ ...fromDevice(entry.microphoneId), ...given });
      case 'camera':
        return room.publishCamera({
          ...cameraOptions(kiosk),
          ...fromDevice(entry.cameraId),
          ...given,
        });
      case 'screen':
        return room.publishScreen({ audio: true });
    }
  }, []);

  /** Turns a device on or off; whatever it is doing now, the last word counts. */
  const turn = useCallback((device: Device, on: boolean, media: MediaStreamTrack | null = null) => {
    wanted.current.set(device, on);
    void attempt(device, 'turn', async () => {
      const track = find(device);
      if (isOn(track) === on) return;
      if (!track) await open(device, media);
      else if (device === 'screen') await stopSharing(room);
      else if (on) await track.unmute();
      else await track.mute();
    });
  }, []);

  useEffect(() => {
    const { microphoneOn, cameraOn } = entry;
    if (microphoneOn) turn('microphone', true, entry.microphone);
    if (cameraOn) turn('camera', true, entry.camera);
  }, []);

  const toggle = useCallback((device: Device) => {
    const on = !(wanted.current.get(device) ?? isOn(find(device)));
    if (device !== 'screen') {
      savePreferences({ [device === 'camera' ? 'cameraOn' : 'microphoneOn']: on });
    }
    turn(device, on);
  }, []);

  const choose = useCallback((device: 'microphone' | 'camera', deviceId: string) => {
    savePreferences({ [device === 'camera' ? 'cameraId' : 'microphoneId']: deviceId });
    void attempt(device, 'choose', async () => {
      const track = find(device);
      if (track) await track.setDevice(deviceId);
    });
  }, []);

  return { microphone, camera, screen, busy, toggle, choose };
}

async function stopSharing(room: Room): Promise<void> {
  const shared = room.localTracks.filter(({ source }) => source.startsWith('screen'));
  await Promise.all(shared.map((track) => track.unpublish()));
}
