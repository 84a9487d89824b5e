/** As much of WebRTC as slots and tracks need. */

/** A peer connection that hands out mids as an offer would. */
export class FakePeerConnection {
  readonly transceivers: { mid: string | null; receiver: { track: object }; kind: string }[] = [];

  addTransceiver(kind: string): object {
    const transceiver = { mid: null, kind, receiver: { track: { kind } } };
    this.transceivers.push(transceiver);
    return transceiver;
  }

  /** What `setLocalDescription` does. */
  assignMids(): void {
    this.transceivers.forEach((transceiver, index) => (transceiver.mid = String(index)));
  }

  get asPeerConnection(): RTCPeerConnection {
    return this as unknown as RTCPeerConnection;
  }
}
