/** Opening cameras, microphones and screens. */

import { TroupeError, deviceError } from './errors.js';

/** Choices for a camera. */
export interface CameraCapture {
  deviceId?: string;
  /** A camera that is open already, as from a preview; the rest says how to open it again. */
  media?: MediaStreamTrack;
  /** `user` or `environment`, for phones. */
  facingMode?: 'user' | 'environment';
  /** 1280 unless said otherwise. */
  width?: number;
  /** 720 unless said otherwise. */
  height?: number;
  /** 30 unless said otherwise. */
  frameRate?: number;
}

/** Choices for a microphone. */
export interface MicrophoneCapture {
  deviceId?: string;
  /** A microphone that is open already, as from a preview. */
  media?: MediaStreamTrack;
  /** On unless said otherwise. */
  echoCancellation?: boolean;
  /** On unless said otherwise. */
  noiseSuppression?: boolean;
  /** On unless said otherwise. */
  autoGainControl?: boolean;
}

/** Choices for a screen. */
export interface ScreenCapture {
  /** Share its sound too, where the browser can. */
  audio?: boolean;
  /** 15 unless said otherwise. */
  frameRate?: number;
}

/** The browser's devices, or why there are none. */
export function mediaDevices(): MediaDevices {
  const devices = (globalThis as { navigator?: Navigator }).navigator?.mediaDevices;
  if (devices) return devices;
  if ((globalThis as { isSecureContext?: boolean }).isSecureContext === false) {
    const message = 'Browsers give cameras and microphones to https:// pages and localhost alone';
    throw new TroupeError('insecure_context', message);
  }
  throw new TroupeError('browser_unsupported', 'This browser has no access to devices');
}

function exactly(deviceId: string | undefined): { deviceId?: ConstrainDOMString } {
  return deviceId === undefined ? {} : { deviceId: { exact: deviceId } };
}

async function only(kind: 'audio' | 'video', wanted: MediaTrackConstraints): Promise<MediaStreamTrack> {
  try {
    const stream = await mediaDevices().getUserMedia({ [kind]: wanted });
    const [track] = stream.getTracks();
    if (!track) throw new TroupeError('device_not_found', 'The browser gave no track');
    return track;
  } catch (cause) {
    throw deviceError(cause);
  }
}

/** Opens a camera. */
export function captureCamera(options: CameraCapture = {}): Promise<MediaStreamTrack> {
  return only('video', {
    ...exactly(options.deviceId),
    ...(options.facingMode === undefined ? {} : { facingMode: options.facingMode }),
    width: { ideal: options.width ?? 1280 },
    height: { ideal: options.height ?? 720 },
    frameRate: { ideal: options.frameRate ?? 30, max: options.frameRate ?? 30 },
  });
}

/** Opens a microphone. */
export function captureMicrophone(options: MicrophoneCapture = {}): Promise<MediaStreamTrack> {
  return only('audio', {
    ...exactly(options.deviceId),
    echoCancellation: options.echoCancellation ?? true,
    noiseSuppression: options.noiseSuppression ?? true,
    autoGainControl: options.autoGainControl ?? true,
  });
}

/** Asks the user for a screen or window: its picture, and its sound where there is one. */
export async function captureScreen(options: ScreenCapture = {}): Promise<MediaStreamTrack[]> {
  const devices = mediaDevices();
  if (!('getDisplayMedia' in devices)) {
    throw new TroupeError('browser_unsupported', 'This browser cannot share a screen');
  }
  try {
    const stream = await devices.getDisplayMedia({
      video: { frameRate: { ideal: options.frameRate ?? 15 } },
      audio: options.audio ?? false,
    });
    return stream.getTracks();
  } catch (cause) {
    throw deviceError(cause);
  }
}
