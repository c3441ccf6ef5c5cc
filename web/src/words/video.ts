/** Words of the video player. */

import { words } from ".";

export const t = words({
  en: {
    no_media_source: "This browser cannot play live H.264 video, so it is sent as MJPEG.",
    not_played: "The video is sent as MJPEG: {reason}",
  },
  ru: {
    no_media_source: "Этот браузер не воспроизводит живое видео H.264, поэтому оно передаётся как MJPEG.",
    not_played: "Видео передаётся как MJPEG: {reason}",
  },
  ko: {
    no_media_source: "이 브라우저는 실시간 H.264 영상을 재생할 수 없어 MJPEG로 전송합니다.",
    not_played: "영상을 MJPEG로 전송합니다: {reason}",
  },
});
