/** Troupe in the browser. Start with {@link connect}. */

export type { CameraCapture, MicrophoneCapture, ScreenCapture } from './capture.js';
export { captureCamera, captureMicrophone, captureScreen } from './capture.js';
export type { DataMessage, DataOptions } from './channels.js';
export type { PictureSize, VideoCodec, VideoEncodingOptions } from './encodings.js';
export type { LocalErrorType, TroupeErrorType } from './errors.js';
export { TroupeError, deviceError } from './errors.js';
export type { Emitter } from './events.js';
export { LocalTrack } from './local-track.js';
export type { LocalTrackEvents } from './local-track.js';
export type { MediaState } from './media.js';
export type { ConnectOptions, Environment, TokenSource } from './options.js';
export type * from './protocol/index.js';
export type { DegradationPreference, PublishOptions } from './publisher.js';
export { RemoteTrack } from './remote-track.js';
export type { RemoteTrackEvents, TrackWish } from './remote-track.js';
export { Room, connect } from './room.js';
export type { RoomEvents, RoomState } from './room-events.js';
export type { RoomStats, SentLayer, TrackStats } from './stats.js';
