/** The call: enters the room and puts the parts of the screen together. */

import type { Room, TroupeError } from '@troupe/client';
import type { VNode } from 'preact';
import { useCallback, useEffect, useState } from 'preact/hooks';

import type { Entry } from '../lobby.js';
import { Mark } from '../icons.js';
import { explainLeaving } from '../messages.js';
import type { Route } from '../route.js';
import { roomPath } from '../route.js';
import { Banner } from './banner.js';
import type { OpenMenu } from './controls.js';
import { Controls } from './controls.js';
import { CallFigures, useFigures } from './figures.js';
import { Help } from './help.js';
import type { PanelKind } from './panel.js';
import { Panel } from './panel.js';
import { ReactionRain } from './reaction-rain.js';
import { useShortcuts } from './shortcuts.js';
import { Stage } from './stage.js';
import { allTiles, nameOf, stageTile } from './tiles.js';
import { useChat } from './use-chat.js';
import { useRoom } from './use-events.js';
import { useJoin } from './use-join.js';
import type { Notify } from './use-notices.js';
import { useNotices } from './use-notices.js';
import { useOwnMedia } from './use-own-media.js';

interface CallProps {
  route: Route;
  entry: Entry;
  onEnd: (error: TroupeError | null) => void;
}

export function Call({ route, entry, onEnd }: CallProps): VNode {
  const room = useJoin(route, entry, onEnd);
  if (room) return <InRoom room={room} route={route} entry={entry} />;
  return (
    <div class="joining" role="status">
      <Mark size={56} />
      <p>Entering {entry.room} …</p>
    </div>
  );
}

function InRoom({ room, route, entry }: Omit<CallProps, 'onEnd'> & { room: Room }): VNode {
  useRoom(room);
  const { notices, notify, dismiss } = useNotices();
  const [menu, setMenu] = useState<OpenMenu>(null);
  const [panel, setPanel] = useState<PanelKind | null>(null);
  const [figures, setFigures] = useState(false);
  const [help, setHelp] = useState(false);
  const [picked, setPicked] = useState<string | null>(null);
  const [audioBlocked, setAudioBlocked] = useState(false);
  const media = useOwnMedia(room, entry, route.kiosk, notify);
  const chat = useChat(room, panel === 'chat', notify);
  const stats = useFigures(room, figures);
  const tiles = allTiles(room, entry.name);

  useComings(room, notify);
  useEffect(() => room.on('audioBlocked', setAudioBlocked), [room]);
  usePinned(room, stageTile(tiles, picked)?.video ?? null);

  const togglePanel = useCallback((kind: PanelKind) => {
    setPanel((open) => (open === kind ? null : kind));
  }, []);
  const pin = useCallback((key: string) => setPicked((now) => (now === key ? null : key)), []);
  const react = useCallback((kind: string) => {
    room.react(kind).catch(() => notify({ text: 'Your reaction was not sent', bad: true }));
  }, []);
  const invite = useCallback(() => {
    const link = location.origin + roomPath(room.name);
    navigator.clipboard.writeText(link).then(
      () => notify({ text: 'The link is copied' }),
      () => notify({ title: 'The link could not be copied', text: link, bad: true }),
    );
  }, []);
  // Where the address holds an invitation, a link without one would open nothing.
  const onInvite = route.token === null ? invite : null;

  useShortcuts({
    m: () => media.toggle('microphone'),
    v: () => media.toggle('camera'),
    s: () => media.toggle('screen'),
    c: () => togglePanel('chat'),
    p: () => togglePanel('people'),
    r: () => setMenu('react'),
    i: () => setFigures((on) => !on),
    '?': () => setHelp(true),
    Escape: () => setPanel(null),
  });

  const count = room.peers.length + 1 + room.audience;
  return (
    <div class={panel ? 'call with-panel' : 'call'}>
      <header class="call-head">
        <Mark size={24} />
        <h1>{room.name}</h1>
        <button type="button" class="count" onClick={() => togglePanel('people')}>
          {count === 1 ? 'Only you' : `${count} people`}
        </button>
        <Banner room={room} audioBlocked={audioBlocked} />
      </header>
      <main class="call-main" data-state={room.state} data-media={room.mediaState}>
        {stats && <CallFigures room={room} stats={stats} />}
        <Stage
          room={room}
          tiles={tiles}
          picked={picked}
          stats={stats}
          onPin={pin}
          onInvite={onInvite}
        />
        <ReactionRain room={room} />
        <ul class="notices" role="log" aria-live="polite">
          {notices.map(({ id, title, text, bad }) => (
            <li key={id} class={bad ? 'bad' : ''}>
              <button type="button" onClick={() => dismiss(id)} aria-label="Dismiss">
                {title !== undefined && <strong>{title}</strong>}
                <span>{text}</span>
              </button>
            </li>
          ))}
        </ul>
      </main>
      {panel && (
        <Panel
          room={room}
          kind={panel}
          messages={chat.messages}
          ownName={entry.name}
          onSay={chat.say}
          onClose={() => setPanel(null)}
        />
      )}
      <Controls
        room={room}
        media={media}
        menu={menu}
        onMenu={setMenu}
        panel={panel}
        onPanel={togglePanel}
        unread={chat.unread}
        figures={figures}
        onFigures={() => setFigures((on) => !on)}
        onHelp={() => setHelp(true)}
        onInvite={onInvite}
        onReact={react}
        onLeave={() => void room.leave()}
      />
      {help && <Help onClose={() => setHelp(false)} />}
    </div>
  );
}

/** Says who comes and goes. */
function useComings(room: Room, notify: Notify): void {
  useEffect(() => {
    const offs = [
      room.on('peerJoined', (peer) => notify({ text: `${nameOf(peer)} joined` })),
      room.on('peerLeft', ({ peer, reason }) => notify({ text: explainLeaving(nameOf(peer), reason) })),
    ];
    return () => offs.forEach((off) => off());
  }, [room]);
}

/** Keeps a slot for what is on the stage. */
function usePinned(room: Room, video: ReturnType<typeof allTiles>[number]['video']): void {
  const id = video && 'peerId' in video ? video.id : null;
  useEffect(() => {
    if (id === null) return undefined;
    room.pin(id).catch(() => undefined);
    return () => {
      if (room.state !== 'closed') room.unpin(id).catch(() => undefined);
    };
  }, [room, id]);
}
