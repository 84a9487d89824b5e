/** The lobby: who one is, which room, and how one looks and sounds before going in. */

import type { VNode } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';

import { labelOf, useDevices } from './devices.js';
import {
  CameraIcon,
  CameraOffIcon,
  Mark,
  MicrophoneIcon,
  MicrophoneOffIcon,
  WarningIcon,
} from './icons.js';
import { LevelMeter } from './level-meter.js';
import type { Explanation } from './messages.js';
import { initials, inventRoom } from './names.js';
import { loadPreferences, savePreferences } from './preferences.js';
import { usePreview } from './preview.js';
import type { Route } from './route.js';
import { isName } from './route.js';
import { ThemeButton } from './theme-button.js';

/** What the lobby hands over. */
export interface Entry {
  room: string;
  name: string;
  camera: MediaStreamTrack | null;
  microphone: MediaStreamTrack | null;
  /** Whether one goes in with it on; the tracks above are spent after the first attempt. */
  cameraOn: boolean;
  microphoneOn: boolean;
  cameraId: string;
  microphoneId: string;
}

interface LobbyProps {
  route: Route;
  onEnter: (entry: Entry) => void;
}

export function Lobby({ route, onEnter }: LobbyProps): VNode {
  const [preferences] = useState(loadPreferences);
  const [name, setName] = useState(route.name ?? preferences.name);
  const [room, setRoom] = useState(route.room ?? '');
  const [invented] = useState(inventRoom);
  const [cameraId, setCameraId] = useState(preferences.cameraId);
  const [microphoneId, setMicrophoneId] = useState(preferences.microphoneId);
  const { camera, microphone } = usePreview(
    preferences.cameraOn,
    cameraId,
    preferences.microphoneOn,
    microphoneId,
  );
  const devices = useDevices(`${camera.track?.id ?? ''} ${microphone.track?.id ?? ''}`);
  const wrongRoom = room !== '' && !isName(room);

  const enter = (event: Event): void => {
    event.preventDefault();
    if (name.trim() === '' || wrongRoom) return;
    const [cameraOn, microphoneOn] = [camera.on, microphone.on];
    savePreferences({ name: name.trim(), cameraId, microphoneId, cameraOn, microphoneOn });
    onEnter({
      room: room === '' ? invented : room,
      name: name.trim(),
      camera: camera.release(),
      microphone: microphone.release(),
      cameraOn: cameraOn && camera.problem === null,
      microphoneOn: microphoneOn && microphone.problem === null,
      cameraId,
      microphoneId,
    });
  };

  return (
    <div class="lobby">
      <header class="lobby-head">
        <a class="brand" href="/">
          <Mark />
          <span>Troupe</span>
        </a>
        <ThemeButton />
      </header>
      <main class="lobby-main">
        <section class="preview" aria-label="Preview">
          <PreviewVideo track={camera.track} name={name} opening={camera.opening} />
          <div class="preview-switches">
            <button
              type="button"
              class="round"
              aria-pressed={microphone.on}
              aria-label={microphone.on ? 'Turn the microphone off' : 'Turn the microphone on'}
              onClick={() => microphone.set(!microphone.on)}
            >
              {microphone.on ? <MicrophoneIcon /> : <MicrophoneOffIcon />}
            </button>
            <button
              type="button"
              class="round"
              aria-pressed={camera.on}
              aria-label={camera.on ? 'Turn the camera off' : 'Turn the camera on'}
              onClick={() => camera.set(!camera.on)}
            >
              {camera.on ? <CameraIcon /> : <CameraOffIcon />}
            </button>
          </div>
        </section>
        <form class="card" onSubmit={enter}>
          <h1>{route.room === null ? 'Start or join a call' : 'Ready to go in?'}</h1>
          <p class="lead">
            {route.room === null
              ? 'Everyone who opens the same room sees and hears each other.'
              : `You are about to enter ${route.room}.`}
          </p>
          <label class="field">
            <span>Your name</span>
            <input
              value={name}
              onInput={(event) => setName(event.currentTarget.value)}
              maxLength={60}
              autocomplete="name"
              placeholder="How others will see you"
              required
              autofocus
            />
          </label>
          {route.room === null && (
            <label class="field">
              <span>Room</span>
              <input
                value={room}
                onInput={(event) => setRoom(event.currentTarget.value.trim())}
                maxLength={64}
                autocomplete="off"
                spellcheck={false}
                placeholder={invented}
                aria-invalid={wrongRoom}
                aria-describedby="room-help"
              />
              <small id="room-help" class={wrongRoom ? 'wrong' : ''}>
                {wrongRoom
                  ? 'Letters, digits, dots, dashes and underscores only'
                  : 'Leave it empty to open a new one'}
              </small>
            </label>
          )}
          <DevicePicker
            label="Microphone"
            devices={devices.microphones}
            value={microphone.track?.getSettings().deviceId ?? microphoneId}
            onChange={setMicrophoneId}
            off={!microphone.on}
            problem={microphone.problem}
          >
            <LevelMeter track={microphone.track} />
          </DevicePicker>
          <DevicePicker
            label="Camera"
            devices={devices.cameras}
            value={camera.track?.getSettings().deviceId ?? cameraId}
            onChange={setCameraId}
            off={!camera.on}
            problem={camera.problem}
          />
          <button class="primary" type="submit" disabled={name.trim() === '' || wrongRoom}>
            {route.room === null && room === '' ? 'Open a new room' : 'Go in'}
          </button>
        </form>
      </main>
    </div>
  );
}

interface PreviewVideoProps {
  track: MediaStreamTrack | null;
  name: string;
  opening: boolean;
}

function PreviewVideo({ track, name, opening }: PreviewVideoProps): VNode {
  const video = useRef<HTMLVideoElement>(null);
  useEffect(() => {
    const element = video.current;
    if (!element) return;
    element.srcObject = track ? new MediaStream([track]) : null;
    if (track) element.play().catch(() => undefined);
  }, [track]);
  return (
    <div class="preview-picture">
      <video ref={video} class={track ? 'mirrored' : 'mirrored hidden'} muted playsInline />
      {!track && (
        <div class="preview-none">
          <span class="initials">{initials(name)}</span>
          <span>{opening ? 'Opening the camera …' : 'Your camera is off'}</span>
        </div>
      )}
    </div>
  );
}

interface DevicePickerProps {
  label: string;
  devices: MediaDeviceInfo[];
  value: string;
  onChange: (deviceId: string) => void;
  off: boolean;
  problem: Explanation | null;
  children?: VNode;
}

function DevicePicker(props: DevicePickerProps): VNode {
  const { label, devices, value, onChange, off, problem, children } = props;
  const known = devices.some(({ deviceId }) => deviceId === value);
  return (
    <div class="field">
      <label>
        <span>{label}</span>
        <select
          value={known ? value : ''}
          onChange={(event) => onChange(event.currentTarget.value)}
          disabled={off || devices.length === 0}
        >
          <option value="">{off ? 'Off' : 'Default'}</option>
          {devices.map((device, index) => (
            <option key={device.deviceId} value={device.deviceId}>
              {labelOf(device, index, label)}
            </option>
          ))}
        </select>
      </label>
      {!off && !problem && children}
      {!off && problem && (
        <p class="problem" role="alert">
          <WarningIcon size={18} />
          <span>
            <strong>{problem.title}.</strong> {problem.text}
          </span>
        </p>
      )}
    </div>
  );
}
