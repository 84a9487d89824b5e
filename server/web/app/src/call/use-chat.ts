/** What was said while one was there, and what of it is not read yet. */

import type { Room } from '@troupe/client';
import { TroupeError } from '@troupe/client';
import { useCallback, useEffect, useRef, useState } from 'preact/hooks';

import { explain } from '../messages.js';
import type { Said } from './panel.js';
import { nameOf } from './tiles.js';
import type { Notify } from './use-notices.js';

const MESSAGES_MAX = 500;

/** The chat of a room. `reading` says whether it is on the screen. */
export function useChat(
  room: Room,
  reading: boolean,
  notify: Notify,
): { messages: Said[]; unread: number; say: (text: string) => Promise<boolean> } {
  const [messages, setMessages] = useState<Said[]>([]);
  const [unread, setUnread] = useState(0);
  const open = useRef(reading);
  open.current = reading;

  useEffect(
    () =>
      room.on('chat', (message) => {
        const own = message.from === room.peerId;
        const peer = room.peers.find(({ peerId }) => peerId === message.from);
        const name = peer ? nameOf(peer) : message.from;
        setMessages((all) => [...all, { ...message, own, name }].slice(-MESSAGES_MAX));
        if (!open.current && !own) setUnread((count) => count + 1);
      }),
    [room],
  );
  useEffect(() => {
    if (reading) setUnread(0);
  }, [reading]);

  const say = useCallback(async (text: string) => {
    try {
      await room.chat(text);
      return true;
    } catch (cause) {
      const { title } = explain(TroupeError.from(cause));
      notify({ title: 'Your message was not sent', text: title, bad: true });
      return false;
    }
  }, []);
  return { messages, unread, say };
}
