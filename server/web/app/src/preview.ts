/** The lobby's camera and microphone: opened, changed, and handed over to the call. */

import { captureCamera, captureMicrophone } from '@troupe/client';
import { useCallback, useEffect, useRef, useState } from 'preact/hooks';

import type { Explanation } from './messages.js';
import { explainDevice } from './messages.js';

/** One device of the preview. */
export interface PreviewDevice {
  on: boolean;
  track: MediaStreamTrack | null;
  problem: Explanation | null;
  /** Being opened. */
  opening: boolean;
  set: (on: boolean) => void;
  /** Lets go of the track without stopping it: the call has it now. */
  release: () => MediaStreamTrack | null;
}

function usePreviewDevice(
  what: string,
  initially: boolean,
  deviceId: string,
  open: (deviceId: string | undefined) => Promise<MediaStreamTrack>,
): PreviewDevice {
  const [on, setOn] = useState(initially);
  const [track, setTrack] = useState<MediaStreamTrack | null>(null);
  const [problem, setProblem] = useState<Explanation | null>(null);
  const [opening, setOpening] = useState(false);
  const held = useRef<MediaStreamTrack | null>(null);

  useEffect(() => {
    if (!on) return undefined;
    let current = true;
    const opened = (media: MediaStreamTrack): void => {
      setOpening(false);
      if (!current) {
        media.stop();
        return;
      }
      held.current = media;
      setTrack(media);
      setProblem(null);
    };
    const failed = (cause: unknown): void => {
      if (!current) return;
      setOpening(false);
      setProblem(explainDevice(what, cause));
    };
    setOpening(true);
    const chosen = deviceId === '' ? undefined : deviceId;
    // A remembered device that is gone is no reason to go without any.
    open(chosen)
      .catch((cause: unknown) => {
        if (chosen === undefined) throw cause;
        return open(undefined);
      })
      .then(opened, failed);
    return () => {
      current = false;
      held.current?.stop();
      held.current = null;
      setTrack(null);
    };
  }, [on, deviceId]);

  const release = useCallback(() => {
    const media = held.current;
    held.current = null;
    return media;
  }, []);
  return { on, track, problem, opening, set: setOn, release };
}

/** The preview's two devices. */
export function usePreview(
  cameraOn: boolean,
  cameraId: string,
  microphoneOn: boolean,
  microphoneId: string,
): { camera: PreviewDevice; microphone: PreviewDevice } {
  const camera = usePreviewDevice('The camera', cameraOn, cameraId, (deviceId) =>
    captureCamera(deviceId === undefined ? {} : { deviceId }),
  );
  const microphone = usePreviewDevice('The microphone', microphoneOn, microphoneId, (deviceId) =>
    captureMicrophone(deviceId === undefined ? {} : { deviceId }),
  );
  return { camera, microphone };
}
