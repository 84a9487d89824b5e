/** The panel beside the call: what is said, and who is there. */

import type { ChatNotice, Room } from '@troupe/client';
import type { ComponentChildren, VNode } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';

import { CloseIcon, MicrophoneOffIcon, SendIcon } from '../icons.js';
import { hueOf, initials } from '../names.js';
import { nameOf } from './tiles.js';

/** What the panel shows. */
export type PanelKind = 'chat' | 'people';

interface PanelProps {
  room: Room;
  kind: PanelKind;
  messages: Said[];
  ownName: string;
  onSay: (text: string) => Promise<boolean>;
  onClose: () => void;
}

/** A message with the name its sender had. */
export interface Said extends ChatNotice {
  name: string;
  own: boolean;
}

export function Panel({ room, kind, messages, ownName, onSay, onClose }: PanelProps): VNode {
  const title = kind === 'chat' ? 'Chat' : 'People';
  return (
    <aside class="panel" aria-label={title}>
      <header class="panel-head">
        <h2>{title}</h2>
        <button type="button" class="quiet" aria-label={`Close ${title.toLowerCase()}`} onClick={onClose}>
          <CloseIcon size={20} />
        </button>
      </header>
      {kind === 'chat' ? (
        <Chat messages={messages} onSay={onSay} />
      ) : (
        <People room={room} ownName={ownName} />
      )}
    </aside>
  );
}

const TIME = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });

function Chat({ messages, onSay }: Pick<PanelProps, 'messages' | 'onSay'>): VNode {
  const [text, setText] = useState('');
  const list = useRef<HTMLOListElement>(null);
  const input = useRef<HTMLTextAreaElement>(null);
  useEffect(() => input.current?.focus(), []);
  useEffect(() => list.current?.scrollTo({ top: list.current.scrollHeight }), [messages.length]);
  const say = async (): Promise<void> => {
    const said = text.trim();
    if (said === '') return;
    setText('');
    // What could not be sent is given back, not lost.
    if (!(await onSay(said))) setText((now) => (now === '' ? said : now));
  };
  return (
    <>
      <ol class="chat" ref={list} aria-live="polite">
        {messages.length === 0 && (
          <li class="chat-empty">Messages are seen by everyone in the room and kept by nobody.</li>
        )}
        {messages.map((message, index) => (
          <li key={message.messageId} class={message.own ? 'own' : ''}>
            {messages[index - 1]?.from !== message.from && (
              <span class="chat-who">
                <b>{message.own ? 'You' : message.name}</b>
                <time dateTime={new Date(message.at).toISOString()}>{TIME.format(message.at)}</time>
              </span>
            )}
            <p>{linked(message.text)}</p>
          </li>
        ))}
      </ol>
      <form
        class="chat-form"
        onSubmit={(event) => {
          event.preventDefault();
          void say();
        }}
      >
        <textarea
          ref={input}
          value={text}
          rows={1}
          maxLength={1_000}
          placeholder="Say something"
          aria-label="Message"
          onInput={(event) => setText(event.currentTarget.value)}
          onKeyDown={(event) => {
            if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
            event.preventDefault();
            void say();
          }}
        />
        <button type="submit" class="round small" aria-label="Send" disabled={text.trim() === ''}>
          <SendIcon size={20} />
        </button>
      </form>
    </>
  );
}

/** A text with its addresses as links. */
function linked(text: string): ComponentChildren {
  return text.split(/(https?:\/\/\S+[^\s.,;:!?)])/).map((part, index) =>
    index % 2 === 0 ? (
      part
    ) : (
      <a key={index} href={part} target="_blank" rel="noopener noreferrer">
        {part}
      </a>
    ),
  );
}

function People({ room, ownName }: { room: Room; ownName: string }): VNode {
  const people = [
    { id: room.peerId, name: `${ownName} (you)`, note: '' },
    ...room.peers.map((peer) => ({
      id: peer.peerId,
      name: nameOf(peer),
      note: peer.state === 'reconnecting' ? 'reconnecting' : '',
    })),
  ];
  const muted = (id: string): boolean => {
    const tracks = id === room.peerId ? room.localTracks : room.tracksOf(id);
    return !tracks.some(({ source, muted: silent }) => source === 'microphone' && !silent);
  };
  return (
    <ul class="people">
      {people.map(({ id, name, note }) => (
        <li key={id} style={{ '--hue': hueOf(id) }}>
          <span class="initials" aria-hidden="true">
            {initials(name.replace(' (you)', ''))}
          </span>
          <span class="people-name">
            {name}
            {note !== '' && <small>{note}</small>}
          </span>
          {muted(id) && (
            <span role="img" aria-label="muted">
              <MicrophoneOffIcon size={18} />
            </span>
          )}
        </li>
      ))}
      {room.audience > 0 && <li class="people-more">and {room.audience} who listen</li>}
    </ul>
  );
}
