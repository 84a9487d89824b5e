/** What happens to the page, where there is one. */

/** Listens to the window; outside browsers nothing ever happens. Returns what stops listening. */
export function onPage<K extends keyof WindowEventMap>(
  type: K,
  listener: (event: WindowEventMap[K]) => void,
): () => void {
  const { window } = globalThis as unknown as { window?: Window };
  if (!window) return () => undefined;
  window.addEventListener(type, listener);
  return () => window.removeEventListener(type, listener);
}
