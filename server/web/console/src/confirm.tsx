/** Asks before something that others notice. */

import type { ComponentChildren, VNode } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';

import { messageOf } from './text.js';

interface Props {
  title: string;
  /** What the button says that does it. */
  act: string;
  children: ComponentChildren;
  onAct: () => Promise<unknown>;
  onClose: () => void;
}

export function Confirm({ title, act, children, onAct, onClose }: Props): VNode {
  const dialog = useRef<HTMLDialogElement>(null);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<string | null>(null);
  useEffect(() => dialog.current?.showModal(), []);
  const run = async (): Promise<void> => {
    setBusy(true);
    try {
      await onAct();
      onClose();
    } catch (error) {
      setError(messageOf(error));
      setBusy(false);
    }
  };
  return (
    <dialog ref={dialog} aria-labelledby="confirm-title" onClose={onClose}>
      <h2 id="confirm-title">{title}</h2>
      {children}
      {error && (
        <p role="alert" class="bad">
          {error}
        </p>
      )}
      <div class="row end">
        <button type="button" onClick={onClose}>
          Cancel
        </button>
        <button type="button" class="danger" disabled={busy} onClick={() => void run()}>
          {act}
        </button>
      </div>
    </dialog>
  );
}
