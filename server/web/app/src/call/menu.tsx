/** A button that opens a small menu above itself. */

import type { ComponentChildren, VNode } from 'preact';
import { useEffect, useRef } from 'preact/hooks';

interface MenuProps {
  label: string;
  button: ComponentChildren;
  buttonClass: string;
  open: boolean;
  onOpen: (open: boolean) => void;
  children: ComponentChildren;
}

export function Menu({ label, button, buttonClass, open, onOpen, children }: MenuProps): VNode {
  const root = useRef<HTMLDivElement>(null);
  const trigger = useRef<HTMLButtonElement>(null);
  const latest = useRef(onOpen);
  latest.current = onOpen;

  useEffect(() => {
    if (!open) return undefined;
    const items = (): HTMLElement[] => [
      ...(root.current?.querySelectorAll<HTMLElement>('.menu button') ?? []),
    ];
    items()[0]?.focus();
    const outside = (event: Event): void => {
      if (!root.current?.contains(event.target as Node)) latest.current(false);
    };
    const key = (event: KeyboardEvent): void => {
      const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
      if (step !== undefined) {
        const all = items();
        const at = all.indexOf(document.activeElement as HTMLElement);
        all[(at + step + all.length) % all.length]?.focus();
        event.preventDefault();
      } else if (event.key === 'Escape') {
        event.stopPropagation();
        latest.current(false);
        trigger.current?.focus();
      }
    };
    document.addEventListener('pointerdown', outside);
    const element = root.current;
    element?.addEventListener('keydown', key);
    return () => {
      document.removeEventListener('pointerdown', outside);
      element?.removeEventListener('keydown', key);
    };
  }, [open]);

  return (
    <div class="menu-root" ref={root}>
      <button
        type="button"
        ref={trigger}
        class={buttonClass}
        aria-label={label}
        title={label}
        aria-haspopup="menu"
        aria-expanded={open}
        onClick={() => onOpen(!open)}
      >
        {button}
      </button>
      {open && (
        <div class="menu" role="menu" aria-label={label}>
          {children}
        </div>
      )}
    </div>
  );
}
