/** How large elements are on the screen and whether anybody can see them. */

/** What is known of an element. */
export interface ElementView {
  /** Across, in device pixels. */
  width: number;
  /** Down, in device pixels. */
  height: number;
  visible: boolean;
}

interface Watched {
  element: HTMLMediaElement;
  changed: () => void;
  /** By the intersection observer; `null` until it has spoken. */
  intersects: boolean | null;
  /** Whether it was ever part of a document. */
  wasConnected: boolean;
  off: () => void;
}

/** An element this far outside of what can be seen counts as seen: scrolling brings it in. */
const MARGIN = '64px';

/** Events of a video that change what is wanted of it: its shape, and its own small window. */
const EVENTS = ['resize', 'enterpictureinpicture', 'leavepictureinpicture'];

/** Watches elements with one observer each for sizes and for sight. */
export class ElementWatch {
  readonly #watched = new Map<Element, Watched>();
  readonly #sizes: ResizeObserver | null;
  readonly #sight: IntersectionObserver | null;
  readonly #document: Document | undefined;
  readonly #onPage = (): void => this.#allChanged();
  #scaleOff: (() => void) | null = null;

  constructor() {
    const page = globalThis as Partial<typeof globalThis>;
    this.#document = page.document;
    this.#sizes = page.ResizeObserver
      ? new ResizeObserver((entries) => entries.forEach(({ target }) => this.#changed(target)))
      : null;
    this.#sight = page.IntersectionObserver
      ? new IntersectionObserver((entries) => entries.forEach((entry) => this.#sighted(entry)), {
          rootMargin: MARGIN,
        })
      : null;
    this.#document?.addEventListener('visibilitychange', this.#onPage);
    this.#watchScale();
  }

  /** Watches an element; `changed` is called when its view may be another. */
  add(element: HTMLMediaElement, changed: () => void): void {
    this.remove(element);
    for (const type of EVENTS) element.addEventListener(type, changed);
    const off = (): void => {
      for (const type of EVENTS) element.removeEventListener(type, changed);
    };
    const wasConnected = element.isConnected;
    this.#watched.set(element, { element, changed, intersects: null, wasConnected, off });
    this.#sizes?.observe(element);
    this.#sight?.observe(element);
  }

  remove(element: HTMLMediaElement): void {
    this.#watched.get(element)?.off();
    this.#watched.delete(element);
    this.#sizes?.unobserve(element);
    this.#sight?.unobserve(element);
  }

  /**
   * How an element is seen now; `null` while that is not known. An element that never was in a
   * document, as one that is drawn from, has no size: whoever uses it sees all of it.
   */
  view(element: HTMLMediaElement): ElementView | null {
    const watched = this.#watched.get(element);
    if (!watched) return null;
    watched.wasConnected ||= element.isConnected;
    const seen = this.#sight ? watched.intersects : true;
    if (!watched.wasConnected) {
      return seen === null ? null : { width: Infinity, height: Infinity, visible: true };
    }
    const page = element.ownerDocument;
    const scale = page.defaultView?.devicePixelRatio ?? 1;
    const [width, height] = [element.clientWidth * scale, element.clientHeight * scale];
    // Its own small window stays when the page is put away. How large that is nobody says.
    if (page.pictureInPictureElement === element) return { width, height, visible: true };
    if (page.visibilityState === 'hidden') return { width, height, visible: false };
    if (seen === null) return null;
    return { width, height, visible: seen && width > 0 && height > 0 };
  }

  /** Watches nothing more. */
  close(): void {
    for (const { element } of [...this.#watched.values()]) this.remove(element);
    this.#document?.removeEventListener('visibilitychange', this.#onPage);
    this.#scaleOff?.();
  }

  #sighted({ target, isIntersecting }: IntersectionObserverEntry): void {
    const watched = this.#watched.get(target);
    if (watched) watched.intersects = isIntersecting;
    this.#changed(target);
  }

  #changed(target: Element): void {
    this.#watched.get(target)?.changed();
  }

  #allChanged(): void {
    for (const { changed } of this.#watched.values()) changed();
  }

  /** Zooming, or another screen, changes device pixels where the size in CSS may stay. */
  #watchScale(): void {
    const page = this.#document?.defaultView;
    if (!page || !('matchMedia' in page)) return;
    const query = page.matchMedia(`(resolution: ${page.devicePixelRatio}dppx)`);
    const changed = (): void => {
      this.#watchScale();
      this.#allChanged();
    };
    this.#scaleOff?.();
    query.addEventListener('change', changed);
    this.#scaleOff = () => query.removeEventListener('change', changed);
  }
}
