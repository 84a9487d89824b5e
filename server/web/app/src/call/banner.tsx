/** What is not as it should be, said above the call for as long as it lasts. */

import type { Room } from '@troupe/client';
import type { VNode } from 'preact';

import { SpeakerIcon, WarningIcon } from '../icons.js';

interface BannerProps {
  room: Room;
  audioBlocked: boolean;
}

function problem(room: Room): { text: string; bad: boolean } | null {
  if (room.state === 'reconnecting') {
    if (room.interruption?.reason === 'draining') {
      return { text: 'The server is being restarted. You will be back in a moment.', bad: false };
    }
    const flowing = room.mediaState === 'connected';
    const text = flowing
      ? 'Reconnecting to the server. You still hear and see each other.'
      : 'Reconnecting …';
    return { text, bad: false };
  }
  if (room.mediaState === 'failed') {
    const text =
      'No sound and picture get through. A firewall may be in the way; we go on trying.';
    return { text, bad: true };
  }
  if (room.mediaState === 'interrupted') {
    return { text: 'Sound and picture were interrupted. Reconnecting …', bad: false };
  }
  return null;
}

export function Banner({ room, audioBlocked }: BannerProps): VNode | null {
  const found = problem(room);
  if (found) {
    return (
      <p class={found.bad ? 'banner bad' : 'banner'} role="status">
        {found.bad ? <WarningIcon size={18} /> : <span class="spinner" />}
        <span>{found.text}</span>
      </p>
    );
  }
  if (!audioBlocked) return null;
  return (
    <p class="banner" role="status">
      <SpeakerIcon size={18} />
      <span>Your browser holds the sound back.</span>
      <button type="button" class="link" onClick={() => void room.startAudio()}>
        Turn it on
      </button>
    </p>
  );
}
