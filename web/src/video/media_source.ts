/** Which Media Source this browser has: iOS offers only the managed one, and some browsers none. */

export type MediaSourceClass = typeof MediaSource;

declare global {
  interface Window {
    MediaSource?: MediaSourceClass;
    ManagedMediaSource?: MediaSourceClass;
  }
}

/** The class to use; null if there is none. */
export function mediaSourceClass(): MediaSourceClass | null {
  return window.ManagedMediaSource ?? window.MediaSource ?? null;
}

export function typeOf(codec: string): string {
  return `video/mp4; codecs="${codec}"`;
}

/** Whether H.264 as the server encodes it can be played at all. */
export function playsH264(): boolean {
  return mediaSourceClass()?.isTypeSupported(typeOf("avc1.42c01f")) ?? false;
}
