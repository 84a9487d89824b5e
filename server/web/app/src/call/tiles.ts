/** Who and what has a tile, and in which order. */

import type { LocalTrack, Peer, RemoteTrack, Room } from '@troupe/client';

/** One tile: a person, or a screen that a person shares. */
export interface Tile {
  key: string;
  peerId: string;
  name: string;
  self: boolean;
  source: 'camera' | 'screen';
  video: RemoteTrack | LocalTrack | null;
  audio: RemoteTrack | LocalTrack | null;
  reconnecting: boolean;
}

/** Tiles on one page: more would be stamps. */
export const TILES_MAX = 25;

/** What to call a peer. */
export function nameOf(peer: Peer): string {
  return peer.name ?? peer.peerId;
}

type Tracks = (RemoteTrack | LocalTrack)[];

function cameraOf(tracks: Tracks): Tile['video'] {
  return tracks.find(({ kind, source }) => kind === 'video' && source !== 'screen') ?? null;
}

function voiceOf(tracks: Tracks): Tile['audio'] {
  return tracks.find(({ kind, source }) => kind === 'audio' && source !== 'screen-audio') ?? null;
}

function tilesOf(
  person: Pick<Tile, 'peerId' | 'name' | 'self' | 'reconnecting'>,
  tracks: Tracks,
): Tile[] {
  const screens = tracks.filter(({ kind, source }) => kind === 'video' && source === 'screen');
  const camera: Tile = {
    ...person,
    key: `${person.peerId} camera`,
    source: 'camera',
    video: cameraOf(tracks),
    audio: voiceOf(tracks),
  };
  return [
    camera,
    ...screens.map((video, index): Tile => {
      return { ...person, key: `${person.peerId} screen ${index}`, source: 'screen', video, audio: null };
    }),
  ];
}

/** All tiles: one's own first, then the others as they came, whoever publishes before who listens. */
export function allTiles(room: Room, ownName: string): Tile[] {
  const own = { peerId: room.peerId, name: ownName, self: true, reconnecting: false };
  const others = room.peers.map((peer) => ({
    person: {
      peerId: peer.peerId,
      name: nameOf(peer),
      self: false,
      reconnecting: peer.state === 'reconnecting',
    },
    tracks: room.tracksOf(peer.peerId),
  }));
  others.sort((a, b) => Number(b.tracks.length > 0) - Number(a.tracks.length > 0));
  return [
    ...tilesOf(own, room.localTracks),
    ...others.flatMap(({ person, tracks }) => tilesOf(person, tracks)),
  ];
}

/**
 * The tile that gets the stage: the one that was picked, else the newest screen of somebody else.
 * One's own screen never does, since showing it on itself makes a tunnel.
 */
export function stageTile(tiles: Tile[], picked: string | null): Tile | null {
  const chosen = tiles.find(({ key }) => key === picked);
  if (chosen) return chosen;
  return tiles.filter(({ source, self }) => source === 'screen' && !self).at(-1) ?? null;
}
