/** Tells which frame of a video is on the screen, and hands it out. */

import type { Picture } from "./stage";

/** Called with a frame's time in the video; a picture that can be closed is the receiver's to close. */
export type OnShownFrame = (time: number, picture: Picture) => void;

/** Call `onFrame` whenever another frame is on the screen; the result ends that. */
export function shownFrames(video: HTMLVideoElement, onFrame: OnShownFrame): () => void {
  if (!("requestVideoFrameCallback" in video)) return eachRepaint(video, onFrame);
  let handle = 0;
  const ask = (): void => {
    handle = video.requestVideoFrameCallback((_, { mediaTime }) => {
      const picture = pictureOf(video);
      onFrame(picture instanceof HTMLVideoElement ? mediaTime : picture.timestamp / 1e6, picture);
      ask();
    });
  };
  ask();
  return () => video.cancelVideoFrameCallback(handle);
}

/**
 * The frame with its own time: the video may already be one further than the callback says. Pages
 * without HTTPS do not have `VideoFrame`; there, the video itself is the picture.
 */
function pictureOf(video: HTMLVideoElement): HTMLVideoElement | VideoFrame {
  if (!("VideoFrame" in window)) return video;
  try {
    return new VideoFrame(video);
  } catch {
    return video;
  }
}

/** For browsers that do not say when they show a frame. */
function eachRepaint(video: HTMLVideoElement, onFrame: OnShownFrame): () => void {
  let handle = 0;
  let last = -1;
  const look = (): void => {
    if (video.currentTime !== last && video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA) {
      last = video.currentTime;
      onFrame(last, video);
    }
    handle = requestAnimationFrame(look);
  };
  handle = requestAnimationFrame(look);
  return () => cancelAnimationFrame(handle);
}
