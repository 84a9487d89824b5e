/** Shows a track in an element, and swaps what is shown without a gap. */

/** How long a new picture may take before the old one is given up, in milliseconds. */
const SWAP_TIMEOUT_MS = 3_000;

/**
 * How the track before a change relates to the one after: not at all, so that it may carry somebody else
 * by now; it goes on until the new one has a picture (`cold`); or both carry the same already (`warm`).
 */
export type Overlap = 'none' | 'cold' | 'warm';

/** One element that shows whatever a track currently is. */
export class Attachment {
  readonly element: HTMLMediaElement;
  #current: MediaStreamTrack | null = null;
  #swap: (() => void) | null = null;

  constructor(element: HTMLMediaElement) {
    this.element = element;
  }

  /**
   * Shows this track from now on. A picture that is already shown stays until the new one has its
   * first decoded frame: that is waited for in a second element, hidden behind the first, which
   * then covers it while it changes over. A track that does not overlap the new one may carry
   * somebody else by now, so its last picture is held; of two that carry the same, one is exchanged
   * for the other within the stream that is being played.
   */
  show(track: MediaStreamTrack | null, overlap: Overlap = 'none'): void {
    if (track === this.#current) return;
    this.#swap?.();
    this.#swap = null;
    const before = this.#current;
    this.#current = track;
    const { element } = this;
    const stream = element.srcObject;
    if (overlap === 'warm' && before && track && stream instanceof MediaStream) {
      stream.addTrack(track);
      stream.removeTrack(before);
      return;
    }
    const seamless = before && track && isVideo(element) && element.videoWidth > 0;
    if (seamless && element.parentNode) {
      if (overlap === 'none') element.pause();
      this.#swap = swap(element, track);
    } else {
      put(element, track);
    }
  }

  /** Lets go of the element. */
  release(): void {
    this.show(null);
  }
}

function isVideo(element: HTMLMediaElement): element is HTMLVideoElement {
  return element.tagName === 'VIDEO';
}

function put(element: HTMLMediaElement, track: MediaStreamTrack | null): void {
  element.srcObject = track ? new MediaStream([track]) : null;
  if (!track) return;
  // Refused autoplay is the page's to solve with a gesture; muted elements are never refused.
  element.play().catch(() => undefined);
}

/** Starts the change; the result cuts it short. */
function swap(element: HTMLVideoElement, track: MediaStreamTrack): () => void {
  const cover = coverOf(element);
  element.after(cover);
  put(cover, track);
  let over = false;
  const change = (): void => {
    if (over) return;
    over = true;
    clearTimeout(timer);
    if (cover.videoWidth > 0) cover.style.visibility = 'visible';
    put(element, track);
    onFirstFrame(element, () => cover.remove());
    setTimeout(() => cover.remove(), SWAP_TIMEOUT_MS);
  };
  const timer = setTimeout(change, SWAP_TIMEOUT_MS);
  onFirstFrame(cover, change);
  return () => {
    over = true;
    clearTimeout(timer);
    cover.remove();
  };
}

/** A copy of the element that lies exactly over it, unseen. */
function coverOf(element: HTMLVideoElement): HTMLVideoElement {
  const cover = element.cloneNode(false) as HTMLVideoElement;
  cover.removeAttribute('id');
  cover.removeAttribute('controls');
  cover.setAttribute('aria-hidden', 'true');
  cover.muted = true;
  cover.autoplay = true;
  cover.playsInline = true;
  Object.assign(cover.style, {
    position: 'absolute',
    left: `${element.offsetLeft}px`,
    top: `${element.offsetTop}px`,
    width: `${element.offsetWidth}px`,
    height: `${element.offsetHeight}px`,
    margin: '0',
    visibility: 'hidden',
    pointerEvents: 'none',
  });
  return cover;
}

function onFirstFrame(element: HTMLVideoElement, callback: () => void): void {
  // Absent in Firefox before 132, whatever the type says.
  if ('requestVideoFrameCallback' in element) element.requestVideoFrameCallback(callback);
  else (element as HTMLVideoElement).addEventListener('loadeddata', callback, { once: true });
}
