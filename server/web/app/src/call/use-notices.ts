/** Short messages that come and go at the edge of the call. */

import { useCallback, useRef, useState } from 'preact/hooks';

/** One message. */
export interface Notice {
  id: number;
  text: string;
  title?: string;
  bad: boolean;
}

/** Says something; bad news stays longer. */
export type Notify = (notice: { text: string; title?: string; bad?: boolean }) => void;

const GOOD_MS = 4_000;
const BAD_MS = 9_000;
const NOTICES_MAX = 4;

export function useNotices(): {
  notices: Notice[];
  notify: Notify;
  dismiss: (id: number) => void;
} {
  const [notices, setNotices] = useState<Notice[]>([]);
  const next = useRef(1);
  const dismiss = useCallback((id: number) => {
    setNotices((all) => all.filter((notice) => notice.id !== id));
  }, []);
  const notify = useCallback<Notify>((notice) => {
    const id = next.current++;
    const bad = notice.bad ?? false;
    setNotices((all) => [...all, { ...notice, id, bad }].slice(-NOTICES_MAX));
    setTimeout(() => dismiss(id), bad ? BAD_MS : GOOD_MS);
  }, []);
  return { notices, notify, dismiss };
}
