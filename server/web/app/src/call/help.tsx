/** The list of keys. */

import type { VNode } from 'preact';
import { useEffect, useRef } from 'preact/hooks';

import { CloseIcon } from '../icons.js';
import { SHORTCUT_HELP } from './shortcuts.js';

export function Help({ onClose }: { onClose: () => void }): VNode {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => dialog.current?.showModal(), []);
  return (
    <dialog class="card help" ref={dialog} onClose={onClose} aria-labelledby="help-title">
      <header class="panel-head">
        <h2 id="help-title">Keyboard shortcuts</h2>
        <button type="button" class="quiet" aria-label="Close" onClick={onClose}>
          <CloseIcon size={20} />
        </button>
      </header>
      <dl>
        {SHORTCUT_HELP.map(([key, meaning]) => (
          <div key={key}>
            <dt>
              <kbd>{key}</kbd>
            </dt>
            <dd>{meaning}</dd>
          </div>
        ))}
      </dl>
    </dialog>
  );
}
