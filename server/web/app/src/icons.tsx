/** Icons, drawn on a grid of 24 with lines of 1.75. Decorative: what they mean is said beside them. */

import type { ComponentChildren, VNode } from 'preact';

interface IconProps {
  size?: number;
}

function icon(paths: ComponentChildren): (props: IconProps) => VNode {
  return function Icon({ size = 22 }) {
    return (
      <svg
        class="icon"
        width={size}
        height={size}
        viewBox="0 0 24 24"
        fill="none"
        stroke="currentColor"
        stroke-width="1.75"
        stroke-linecap="round"
        stroke-linejoin="round"
        aria-hidden="true"
      >
        {paths}
      </svg>
    );
  };
}

const SLASH = <path d="M4 3.5 20.5 20" />;

export const MicrophoneIcon = icon(
  <>
    <rect x="9" y="3" width="6" height="11" rx="3" />
    <path d="M5.5 11.5a6.5 6.5 0 0 0 13 0M12 18v3M9 21h6" />
  </>,
);
export const MicrophoneOffIcon = icon(
  <>
    <path d="M9 9V6a3 3 0 0 1 6 0v5M14.2 13.5A3 3 0 0 1 9 11.3" />
    <path d="M5.5 11.5a6.5 6.5 0 0 0 10.6 5M18.4 12.5l.1-1M12 18v3M9 21h6" />
    {SLASH}
  </>,
);
export const CameraIcon = icon(
  <>
    <rect x="2.5" y="6" width="13" height="12" rx="3" />
    <path d="m15.5 11 5-3v8l-5-3" />
  </>,
);
export const CameraOffIcon = icon(
  <>
    <path d="M8.5 6h4a3 3 0 0 1 3 3v2l5-3v8l-2.4-1.45M15.4 15.5a3 3 0 0 1-2.9 2.5h-7a3 3 0 0 1-3-3V9a3 3 0 0 1 2.2-2.89" />
    {SLASH}
  </>,
);
export const ScreenIcon = icon(
  <>
    <rect x="2.5" y="4" width="19" height="13" rx="2.5" />
    <path d="M8.5 21h7M12 14V8M9.2 10.5 12 7.7l2.8 2.8" />
  </>,
);
export const ScreenStopIcon = icon(
  <>
    <rect x="2.5" y="4" width="19" height="13" rx="2.5" />
    <path d="M8.5 21h7M9.7 8.2l4.6 4.6M14.3 8.2l-4.6 4.6" />
  </>,
);
export const ChatIcon = icon(
  <path d="M4 6.5A2.5 2.5 0 0 1 6.5 4h11A2.5 2.5 0 0 1 20 6.5v7a2.5 2.5 0 0 1-2.5 2.5H11l-4.5 4v-4A2.5 2.5 0 0 1 4 13.5zM8 8.5h8M8 11.8h5" />,
);
export const PeopleIcon = icon(
  <>
    <circle cx="9" cy="8.5" r="3.5" />
    <path d="M2.5 19.5c.6-3.3 3.2-5 6.5-5s5.9 1.7 6.5 5M15.5 5.3a3.5 3.5 0 0 1 0 6.4M18 15c2 .7 3.2 2.3 3.5 4.5" />
  </>,
);
export const SmileIcon = icon(
  <>
    <circle cx="12" cy="12" r="9" />
    <path d="M8.3 14.2c.8 1.4 2.1 2.2 3.7 2.2s2.9-.8 3.7-2.2M9 9.5v.2M15 9.5v.2" />
  </>,
);
export const FiguresIcon = icon(<path d="M4 20V4M4 20h16M8.5 16v-4M12.5 16V7.5M16.5 16v-6" />);
export const LeaveIcon = icon(
  <path d="M3.2 14.9c-.9-1-.8-2.5.3-3.4 4.9-4 12.1-4 17 0 1.1.9 1.2 2.4.3 3.4l-.9 1c-.5.5-1.2.6-1.8.3l-2.4-1.3a1.5 1.5 0 0 1-.8-1.4v-1.7a11 11 0 0 0-5.8 0v1.7c0 .6-.3 1.1-.8 1.4l-2.4 1.3c-.6.3-1.3.2-1.8-.3z" />,
);
export const MoreIcon = icon(
  <>
    <circle cx="5.5" cy="12" r=".8" fill="currentColor" />
    <circle cx="12" cy="12" r=".8" fill="currentColor" />
    <circle cx="18.5" cy="12" r=".8" fill="currentColor" />
  </>,
);
export const ChevronIcon = icon(<path d="m6.5 14.5 5.5-5.5 5.5 5.5" />);
export const CloseIcon = icon(<path d="M6 6l12 12M18 6 6 18" />);
export const PinIcon = icon(
  <path d="M9 3.5h6l-.8 6.2 3.3 3.1v1.7h-11v-1.7l3.3-3.1zM12 14.5V21" />,
);
export const LinkIcon = icon(
  <path d="M10 14a4 4 0 0 0 5.7 0l3.1-3.1a4 4 0 0 0-5.7-5.7L11.8 6.5M14 10a4 4 0 0 0-5.7 0l-3.1 3.1a4 4 0 0 0 5.7 5.7l1.3-1.3" />,
);
export const CheckIcon = icon(<path d="m5 12.5 4.5 4.5L19 7.5" />);
export const SendIcon = icon(<path d="M4 12 20 4.5 14.5 20l-3-6.5zM11.5 13.5 20 4.5" />);
export const WarningIcon = icon(
  <path d="M12 4 2.8 19.5h18.4zM12 10v4.5M12 17v.1" />,
);
export const SpeakerIcon = icon(
  <path d="M4 9.5v5h3.5L12 18.5v-13L7.5 9.5zM15.5 9a4.2 4.2 0 0 1 0 6M18 6.5a8 8 0 0 1 0 11" />,
);
export const KeyboardIcon = icon(
  <>
    <rect x="2.5" y="6" width="19" height="12" rx="2.5" />
    <path d="M6.5 10h.1M10.2 10h.1M13.8 10h.1M17.5 10h.1M8 14h8" />
  </>,
);
export const ThemeIcon = icon(
  <>
    <circle cx="12" cy="12" r="8.5" />
    <path d="M12 3.5v17a8.5 8.5 0 0 0 0-17z" fill="currentColor" />
  </>,
);

/** Troupe's mark: three people around a stage. */
export function Mark({ size = 28 }: IconProps): VNode {
  return (
    <svg class="mark" width={size} height={size} viewBox="0 0 32 32" aria-hidden="true">
      <path
        d="M4.5 25c2.6-3.4 6.8-5.4 11.5-5.4S24.9 21.6 27.5 25"
        fill="none"
        stroke="var(--accent)"
        stroke-width="2.4"
        stroke-linecap="round"
      />
      <circle cx="16" cy="11.5" r="4.2" fill="var(--accent)" />
      <circle cx="7.8" cy="14" r="2.7" fill="currentColor" />
      <circle cx="24.2" cy="14" r="2.7" fill="currentColor" />
    </svg>
  );
}
