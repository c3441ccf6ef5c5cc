/** Line icons of 20 × 20, drawn for this page; they take the colour of the text around them. */

import type { ComponentChildren, JSX } from "preact";

export type Icon = () => JSX.Element;

function icon(children: ComponentChildren): Icon {
  return () => (
    <svg
      class="icon"
      viewBox="0 0 20 20"
      width="20"
      height="20"
      fill="none"
      stroke="currentColor"
      stroke-width="1.6"
      stroke-linecap="round"
      stroke-linejoin="round"
      aria-hidden="true"
    >
      {children}
    </svg>
  );
}

export const LiveIcon = icon(
  <>
    <rect x="2.5" y="3.5" width="6.5" height="5.5" rx="1" />
    <rect x="11" y="3.5" width="6.5" height="5.5" rx="1" />
    <rect x="2.5" y="11" width="6.5" height="5.5" rx="1" />
    <rect x="11" y="11" width="6.5" height="5.5" rx="1" />
  </>,
);
export const EventsIcon = icon(
  <>
    <path d="M5 8a5 5 0 0 1 10 0c0 4 1.5 5 1.5 5h-13S5 12 5 8Z" />
    <path d="M8.3 16a2 2 0 0 0 3.4 0" />
  </>,
);
export const CameraIcon = icon(
  <>
    <rect x="2.5" y="5.5" width="10" height="9" rx="1.5" />
    <path d="m12.5 9 5-2.5v7l-5-2.5" />
  </>,
);
export const PlateIcon = icon(
  <>
    <rect x="2" y="6" width="16" height="8" rx="1.5" />
    <path d="M5 9v2M8 9v2M11 9v2M14 9h1v2h-1" />
  </>,
);
export const RecordingsIcon = icon(
  <>
    <rect x="2.5" y="4" width="15" height="12" rx="1.5" />
    <path d="m8.5 7.5 4 2.5-4 2.5Z" />
  </>,
);
export const NotificationsIcon = icon(
  <>
    <path d="m3 4.5 14 5.5-14 5.5 2.5-5.5Z" />
    <path d="M5.5 10H11" />
  </>,
);
export const SystemIcon = icon(
  <>
    <path d="M3 6h8M15 6h2M3 14h2M9 14h8" />
    <circle cx="13" cy="6" r="2" />
    <circle cx="7" cy="14" r="2" />
  </>,
);
export const MoreIcon = icon(
  <>
    <circle cx="4.5" cy="10" r="1" />
    <circle cx="10" cy="10" r="1" />
    <circle cx="15.5" cy="10" r="1" />
  </>,
);
export const UserIcon = icon(
  <>
    <circle cx="10" cy="7" r="3" />
    <path d="M4 17c.8-3 3-4.5 6-4.5s5.2 1.5 6 4.5" />
  </>,
);
export const CloseIcon = icon(<path d="m5 5 10 10M15 5 5 15" />);
export const AddIcon = icon(<path d="M10 4v12M4 10h12" />);
export const BackIcon = icon(<path d="M12 4.5 6.5 10l5.5 5.5" />);
export const ForwardIcon = icon(<path d="M8 4.5 13.5 10 8 15.5" />);
export const DownIcon = icon(<path d="M4.5 8 10 13.5 15.5 8" />);
export const UpIcon = icon(<path d="M4.5 12 10 6.5 15.5 12" />);
export const EditIcon = icon(<path d="m4 16 .8-3.5L13 4.3l2.7 2.7-8.2 8.2Z" />);
export const DeleteIcon = icon(<path d="M4 6h12M8 6V4h4v2M5.5 6l.7 10h7.6l.7-10M8.5 9v4M11.5 9v4" />);
export const CheckIcon = icon(<path d="m4 10.5 4 4 8-9" />);
export const SearchIcon = icon(
  <>
    <circle cx="9" cy="9" r="5" />
    <path d="m13 13 3.5 3.5" />
  </>,
);
export const FilterIcon = icon(<path d="M3 5h14M6 10h8M8.5 15h3" />);
export const CopyIcon = icon(
  <>
    <rect x="7" y="7" width="9" height="9" rx="1.5" />
    <path d="M13 7V5.5A1.5 1.5 0 0 0 11.5 4h-6A1.5 1.5 0 0 0 4 5.5v6A1.5 1.5 0 0 0 5.5 13H7" />
  </>,
);
export const ShareIcon = icon(
  <>
    <path d="M10 12.5V3M6.5 6 10 2.8 13.5 6" />
    <path d="M6 9H4.5v8h11V9H14" />
  </>,
);
export const DownloadIcon = icon(<path d="M10 3v9.5M6.5 9.5 10 13l3.5-3.5M4 16.5h12" />);
export const UploadIcon = icon(<path d="M10 13V3.5M6.5 6.5 10 3l3.5 3.5M4 16.5h12" />);
export const FullScreenIcon = icon(<path d="M3.5 8V3.5H8M12 3.5h4.5V8M16.5 12v4.5H12M8 16.5H3.5V12" />);
export const PlayIcon = icon(<path d="m6.5 4 9 6-9 6Z" />);
export const PauseIcon = icon(<path d="M7 4.5v11M13 4.5v11" />);
export const StopIcon = icon(<rect x="5" y="5" width="10" height="10" rx="1" />);
export const RestartIcon = icon(<path d="M16 10a6 6 0 1 1-1.9-4.4M16.5 3v3.5H13" />);
export const FlagIcon = icon(<path d="M5 17.5v-14h9l-2 3.5 2 3.5H5" />);
export const BoxesIcon = icon(
  <>
    <path d="M3.5 7V3.5H7M13 3.5h3.5V7M16.5 13v3.5H13M7 16.5H3.5V13" />
    <circle cx="10" cy="8.5" r="1.8" />
    <path d="M6.8 14c.4-1.8 1.6-2.6 3.2-2.6s2.8.8 3.2 2.6" />
  </>,
);
export const WarningIcon = icon(
  <>
    <path d="M10 3.5 2.5 16.5h15Z" />
    <path d="M10 8.5v3.5M10 14.3v.1" />
  </>,
);
export const InfoIcon = icon(
  <>
    <circle cx="10" cy="10" r="7" />
    <path d="M10 9.5v4M10 6.7v.1" />
  </>,
);
