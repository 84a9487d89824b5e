/** The bar below the call. */

import type { Room } from '@troupe/client';
import type { ComponentChildren, VNode } from 'preact';
import { useRef, useState } from 'preact/hooks';

import { labelOf, useDevices, useLevel } from '../devices.js';
import {
  CameraIcon,
  CameraOffIcon,
  ChatIcon,
  CheckIcon,
  ChevronIcon,
  FiguresIcon,
  KeyboardIcon,
  LeaveIcon,
  LinkIcon,
  MicrophoneIcon,
  MicrophoneOffIcon,
  MoreIcon,
  PeopleIcon,
  ScreenIcon,
  ScreenStopIcon,
  SmileIcon,
} from '../icons.js';
import { REACTIONS, ReactionDrawing } from '../reactions.js';
import { Menu } from './menu.js';
import type { PanelKind } from './panel.js';
import type { OwnMedia } from './use-own-media.js';
import { isOn } from './use-own-media.js';

/** Which menu is open, if any. */
export type OpenMenu = 'microphone' | 'camera' | 'react' | 'more' | null;

interface ControlsProps {
  room: Room;
  media: OwnMedia;
  menu: OpenMenu;
  onMenu: (menu: OpenMenu) => void;
  panel: PanelKind | null;
  onPanel: (panel: PanelKind) => void;
  unread: number;
  figures: boolean;
  onFigures: () => void;
  onHelp: () => void;
  onInvite: (() => void) | null;
  onReact: (kind: string) => void;
  onLeave: () => void;
}

export function Controls(props: ControlsProps): VNode {
  const { room, media, menu, onMenu, panel, onPanel, unread } = props;
  const menuProps = (name: Exclude<OpenMenu, null>): { open: boolean; onOpen: (open: boolean) => void } => ({
    open: menu === name,
    onOpen: (open) => onMenu(open ? name : null),
  });
  const canShare = 'getDisplayMedia' in ((navigator.mediaDevices as MediaDevices | undefined) ?? {});
  return (
    <footer class="controls" aria-label="Call controls">
      <div class="controls-group">
        <MicrophoneButton media={media} />
        <DeviceMenu kind="microphone" room={room} media={media} {...menuProps('microphone')} />
      </div>
      <div class="controls-group">
        <Switch
          on={isOn(media.camera)}
          busy={media.busy.has('camera')}
          label={isOn(media.camera) ? 'Turn the camera off (V)' : 'Turn the camera on (V)'}
          onClick={() => media.toggle('camera')}
        >
          {isOn(media.camera) ? <CameraIcon /> : <CameraOffIcon />}
        </Switch>
        <DeviceMenu kind="camera" room={room} media={media} {...menuProps('camera')} />
      </div>
      {canShare && (
        <button
          type="button"
          class={media.screen ? 'round active wide-only' : 'round wide-only'}
          aria-pressed={media.screen !== null}
          aria-label={media.screen ? 'Stop sharing the screen (S)' : 'Share the screen (S)'}
          title={media.screen ? 'Stop sharing (S)' : 'Share your screen (S)'}
          disabled={media.busy.has('screen')}
          onClick={() => media.toggle('screen')}
        >
          {media.screen ? <ScreenStopIcon /> : <ScreenIcon />}
        </button>
      )}
      <Menu label="React (R)" buttonClass="round" button={<SmileIcon />} {...menuProps('react')}>
        <div class="menu-reactions">
          {REACTIONS.map(({ kind, label }) => (
            <button
              key={kind}
              type="button"
              role="menuitem"
              aria-label={label}
              title={label}
              onClick={() => {
                props.onReact(kind);
                onMenu(null);
              }}
            >
              <ReactionDrawing kind={kind} size={30} />
            </button>
          ))}
        </div>
      </Menu>
      <button
        type="button"
        class={panel === 'chat' ? 'round active' : 'round'}
        aria-pressed={panel === 'chat'}
        aria-label={unread > 0 ? `Chat, ${unread} unread (C)` : 'Chat (C)'}
        title="Chat (C)"
        onClick={() => onPanel('chat')}
      >
        <ChatIcon />
        {unread > 0 && <span class="badge">{unread > 9 ? '9+' : unread}</span>}
      </button>
      <Menu label="More" buttonClass="round" button={<MoreIcon />} {...menuProps('more')}>
        <MoreItems {...props} />
      </Menu>
      <button
        type="button"
        class="round danger"
        aria-label="Leave the call"
        title="Leave"
        onClick={props.onLeave}
      >
        <LeaveIcon />
      </button>
    </footer>
  );
}

interface SwitchProps {
  on: boolean;
  busy: boolean;
  label: string;
  onClick: () => void;
  children: ComponentChildren;
}

function Switch({ on, busy, label, onClick, children }: SwitchProps): VNode {
  return (
    <button
      type="button"
      class={on ? 'round' : 'round off'}
      aria-pressed={on}
      aria-label={label}
      aria-busy={busy}
      title={label}
      onClick={onClick}
    >
      {children}
    </button>
  );
}

/** The button glows with one's own voice, so that one sees that one is heard. */
function MicrophoneButton({ media }: { media: OwnMedia }): VNode {
  const glow = useRef<HTMLSpanElement>(null);
  const on = isOn(media.microphone);
  const track = on ? (media.microphone?.mediaStreamTrack ?? null) : null;
  useLevel(track, (level) => glow.current?.style.setProperty('--level', level.toFixed(3)));
  return (
    <span class="voice" ref={glow}>
      <Switch
        on={on}
        busy={media.busy.has('microphone')}
        label={on ? 'Mute the microphone (M)' : 'Unmute the microphone (M)'}
        onClick={() => media.toggle('microphone')}
      >
        {on ? <MicrophoneIcon /> : <MicrophoneOffIcon />}
      </Switch>
    </span>
  );
}

interface DeviceMenuProps {
  kind: 'microphone' | 'camera';
  room: Room;
  media: OwnMedia;
  open: boolean;
  onOpen: (open: boolean) => void;
}

function DeviceMenu({ kind, room, media, open, onOpen }: DeviceMenuProps): VNode {
  const devices = useDevices(open);
  const [speaker, setSpeaker] = useState('default');
  const current = media[kind]?.mediaStreamTrack?.getSettings().deviceId;
  const inputs = kind === 'microphone' ? devices.microphones : devices.cameras;
  const what = kind === 'microphone' ? 'Microphone' : 'Camera';
  const outputs = kind === 'microphone' && 'setSinkId' in HTMLMediaElement.prototype;
  return (
    <Menu
      label={`Choose the ${kind}`}
      buttonClass="chevron"
      button={<ChevronIcon size={16} />}
      open={open}
      onOpen={onOpen}
    >
      <Choices
        title={what}
        devices={inputs}
        current={current}
        onChoose={(deviceId) => {
          media.choose(kind, deviceId);
          onOpen(false);
        }}
      />
      {outputs && devices.speakers.length > 0 && (
        <Choices
          title="Loudspeaker"
          devices={devices.speakers}
          current={speaker}
          onChoose={(deviceId) => {
            setSpeaker(deviceId);
            void room.setAudioOutput(deviceId);
            onOpen(false);
          }}
        />
      )}
    </Menu>
  );
}

interface ChoicesProps {
  title: string;
  devices: MediaDeviceInfo[];
  current: string | undefined;
  onChoose: (deviceId: string) => void;
}

function Choices({ title, devices, current, onChoose }: ChoicesProps): VNode {
  return (
    <>
      <h3>{title}</h3>
      {devices.length === 0 && <p class="menu-none">None was found</p>}
      {devices.map((device, index) => (
        <button
          key={device.deviceId}
          type="button"
          role="menuitemradio"
          aria-checked={device.deviceId === current}
          onClick={() => onChoose(device.deviceId)}
        >
          <span class="menu-icon">{device.deviceId === current && <CheckIcon size={18} />}</span>
          {labelOf(device, index, title)}
        </button>
      ))}
    </>
  );
}

function MoreItems(props: ControlsProps): VNode {
  const { onMenu, onPanel, panel, figures, onFigures, onHelp, onInvite } = props;
  const item = (label: string, icon: VNode, run: () => void, checked?: boolean): VNode => (
    <button
      type="button"
      role={checked === undefined ? 'menuitem' : 'menuitemcheckbox'}
      aria-checked={checked}
      onClick={() => {
        onMenu(null);
        run();
      }}
    >
      <span class="menu-icon">{icon}</span>
      {label}
      {checked === true && <CheckIcon size={18} />}
    </button>
  );
  return (
    <>
      {item('People', <PeopleIcon size={20} />, () => onPanel('people'), panel === 'people')}
      {item('Statistics', <FiguresIcon size={20} />, onFigures, figures)}
      {onInvite && item('Copy the link', <LinkIcon size={20} />, onInvite)}
      {item('Keyboard shortcuts', <KeyboardIcon size={20} />, onHelp)}
    </>
  );
}
