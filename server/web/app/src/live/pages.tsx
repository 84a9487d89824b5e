/** The page that plays a stream, and the page of who goes live. */

import type { VNode } from 'preact';
import { useEffect, useState } from 'preact/hooks';

import { CheckIcon, LinkIcon, Mark } from '../icons.js';
import { explain } from '../messages.js';
import { TroupeError } from '@troupe/client';
import { ThemeButton } from '../theme-button.js';
import type { EncoderSettings, LiveRoute } from './address.js';
import { encoderSettings } from './address.js';
import { Picture } from './picture.js';
import { devAccess } from './tokens.js';
import '../styles/live.css';

const RTMP_PORT = 1935;
/** How long "copied" stays. */
const COPIED_MS = 1_500;

function Head(): VNode {
  return (
    <header class="lobby-head">
      <a class="brand" href="/">
        <Mark size={26} />
        Troupe
      </a>
      <ThemeButton />
    </header>
  );
}

function Watch({ route }: { route: LiveRoute }): VNode {
  return (
    <div class="lobby">
      <Head />
      <main class="watch-main">
        <h1>{route.stream}</h1>
        <p class="lead">in {route.room}</p>
        <Picture route={route} />
      </main>
    </div>
  );
}

function Copied({ name, text, secret = false }: { name: string; text: string; secret?: boolean }): VNode {
  const [copied, setCopied] = useState(false);
  const [shown, setShown] = useState(!secret);
  const copy = (): void => {
    void navigator.clipboard.writeText(text).then(() => {
      setCopied(true);
      setTimeout(() => setCopied(false), COPIED_MS);
    });
  };
  const lines = text.split('\n').length;
  return (
    <div class="field copied">
      <span>{name}</span>
      <div class="row">
        <textarea
          readOnly
          rows={lines}
          spellcheck={false}
          aria-label={name}
          class={shown ? '' : 'hidden-text'}
          value={text}
          onFocus={() => setShown(true)}
        />
        <button type="button" class="secondary" aria-label={`Copy: ${name}`} onClick={copy}>
          {copied ? <CheckIcon size={18} /> : <LinkIcon size={18} />}
          {copied ? 'Copied' : 'Copy'}
        </button>
      </div>
    </div>
  );
}

interface Access {
  settings: EncoderSettings;
  /** Whether the address or a development server gave it. */
  rtmp: boolean;
}

/** What an encoder needs, from the address or a development server. */
async function accessOf(route: LiveRoute): Promise<Access> {
  const origin = new URL(location.href);
  if (route.ingest !== null) {
    const settings = encoderSettings(origin, RTMP_PORT, route, route.ingest);
    return { settings, rtmp: true };
  }
  const { token, rtmp } = await devAccess('ingest', route.room, route.stream);
  const settings = encoderSettings(origin, rtmp ?? RTMP_PORT, route, token);
  return { settings, rtmp: rtmp !== undefined };
}

function Settings({ access }: { access: Access }): VNode {
  const { settings, rtmp } = access;
  return (
    <>
      {rtmp && (
        <>
          <h2>OBS, by RTMP</h2>
          <p class="fine">
            Settings → Stream: service “Custom…”. Settings → Output, advanced: keyframe interval 2 s,
            B-frames 0, tune zerolatency.
          </p>
          <Copied name="Server" text={settings.server} />
          <Copied name="Stream key" text={settings.key} secret />
          <h2>ffmpeg, by RTMP</h2>
          <Copied name="ffmpeg command" text={settings.ffmpeg} secret />
        </>
      )}
      <h2>OBS, by WHIP</h2>
      <p class="fine">Settings → Stream: service “WHIP”; the bearer token is the key behind “token=”.</p>
      <Copied name="WHIP server" text={settings.whip} />
    </>
  );
}

function GoLive({ route }: { route: LiveRoute }): VNode {
  const [access, setAccess] = useState<Access | null>(null);
  const [error, setError] = useState<unknown>(null);
  useEffect(() => {
    accessOf(route).then(setAccess, setError);
  }, [route.room, route.stream, route.ingest]);
  const watch = `/watch/${route.room}/${route.stream}`;
  return (
    <div class="lobby">
      <Head />
      <main class="lobby-main live-main">
        <section class="live-preview">
          <Picture route={route} small />
          <p class="fine">
            Viewers go to <a href={watch}>{watch}</a>
          </p>
        </section>
        <section class="card">
          <h1>Go live</h1>
          <p class="lead">
            {route.stream} in {route.room}
          </p>
          {access && <Settings access={access} />}
          {error !== null && (
            <p role="alert">
              {error instanceof TroupeError ? explain(error).text : 'The server cannot be reached.'}
            </p>
          )}
        </section>
      </main>
    </div>
  );
}

/** The page of a live route. */
export function LivePage({ route }: { route: LiveRoute }): VNode {
  return route.page === 'watch' ? <Watch route={route} /> : <GoLive route={route} />;
}
