/** As much of a page as deciding what is seen needs: elements and the observers of them. */

type Listener = () => void;

/** A document whose visibility and scale the test sets. */
export class FakePage {
  visibilityState: 'visible' | 'hidden' = 'visible';
  pictureInPictureElement: FakeElement | null = null;
  readonly defaultView: { devicePixelRatio: number; getComputedStyle: (e: FakeElement) => object } = {
    devicePixelRatio: 1,
    getComputedStyle: ({ objectFit }) => ({ objectFit }),
  };
  readonly #listeners = new Set<Listener>();

  addEventListener(_type: string, listener: Listener): void {
    this.#listeners.add(listener);
  }

  removeEventListener(_type: string, listener: Listener): void {
    this.#listeners.delete(listener);
  }

  /** Puts the page away, or takes it up again. */
  set(visibility: 'visible' | 'hidden'): void {
    this.visibilityState = visibility;
    for (const listener of [...this.#listeners]) listener();
  }

  get listening(): number {
    return this.#listeners.size;
  }
}

/** A `<video>`. */
export class FakeElement {
  tagName = 'VIDEO';
  isConnected = true;
  clientWidth = 0;
  clientHeight = 0;
  videoWidth = 0;
  videoHeight = 0;
  objectFit = 'contain';
  srcObject: unknown = null;
  readonly #listeners = new Map<string, Set<Listener>>();

  constructor(readonly ownerDocument: FakePage) {}

  addEventListener(type: string, listener: Listener): void {
    this.#listeners.set(type, (this.#listeners.get(type) ?? new Set()).add(listener));
  }

  removeEventListener(type: string, listener: Listener): void {
    this.#listeners.get(type)?.delete(listener);
  }

  tell(type: string): void {
    for (const listener of this.#listeners.get(type) ?? []) listener();
  }

  get asElement(): HTMLVideoElement {
    return this as unknown as HTMLVideoElement;
  }
}

type Entry = { target: FakeElement; isIntersecting: boolean };

class FakeObserver {
  static all: FakeObserver[] = [];
  readonly targets = new Set<FakeElement>();

  constructor(readonly callback: (entries: Entry[]) => void) {
    FakeObserver.all.push(this);
  }

  observe(target: FakeElement): void {
    this.targets.add(target);
  }

  unobserve(target: FakeElement): void {
    this.targets.delete(target);
  }
}

class FakeResizeObserver extends FakeObserver {}
class FakeIntersectionObserver extends FakeObserver {}

/** Puts a page with observers where browsers have them; `uninstall` takes it away. */
export function install(): { page: FakePage; uninstall: () => void } {
  const page = new FakePage();
  const globals = {
    document: page,
    ResizeObserver: FakeResizeObserver,
    IntersectionObserver: FakeIntersectionObserver,
  };
  Object.assign(globalThis, globals);
  FakeObserver.all = [];
  const uninstall = (): void => {
    for (const name of Object.keys(globals)) Reflect.deleteProperty(globalThis, name);
  };
  return { page, uninstall };
}

/** How many elements observers watch. */
export function watching(): number {
  return FakeObserver.all.reduce((sum, { targets }) => sum + targets.size, 0);
}

/** The element has this size from now on. */
export function resize(element: FakeElement, width: number, height: number): void {
  Object.assign(element, { clientWidth: width, clientHeight: height });
  for (const observer of FakeObserver.all) {
    const told = observer instanceof FakeResizeObserver && observer.targets.has(element);
    if (told) observer.callback([{ target: element, isIntersecting: false }]);
  }
}

/** The element is scrolled in or out. */
export function scroll(element: FakeElement, isIntersecting: boolean): void {
  for (const observer of FakeObserver.all) {
    const told = observer instanceof FakeIntersectionObserver && observer.targets.has(element);
    if (told) observer.callback([{ target: element, isIntersecting }]);
  }
}
