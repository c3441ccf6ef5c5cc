/** The newest frame of a camera about once a second, while it is seen: cheap enough for a wall. */

import { useEffect, useState } from "preact/hooks";
import { at } from "../api/client";

const EVERY_MS = 1000;
const LATER_MS = 3000;
const PATIENCE_MS = 8000;
/** A few widths only, so that viewers with different screens share what was encoded. */
const WIDTHS = [320, 480, 640, 960, 1280, 1920];

class Snapshots {
  #timer = 0;
  #over = false;
  #visible = false;
  #asking = false;
  readonly #paper: ImageBitmapRenderingContext;
  readonly #observer: IntersectionObserver;

  constructor(
    private readonly canvas: HTMLCanvasElement,
    private readonly camera: string,
    private readonly onShown: () => void,
  ) {
    this.#paper = canvas.getContext("bitmaprenderer")!;
    this.#observer = new IntersectionObserver(([entry]) => {
      this.#visible = entry!.isIntersecting;
      this.#wake();
    });
    this.#observer.observe(canvas);
    document.addEventListener("visibilitychange", this.#wake);
  }

  close(): void {
    this.#over = true;
    clearTimeout(this.#timer);
    this.#observer.disconnect();
    document.removeEventListener("visibilitychange", this.#wake);
  }

  #wake = (): void => {
    if (this.#asking || this.#over || !this.#visible || document.hidden) return;
    clearTimeout(this.#timer);
    void this.#next();
  };

  async #next(): Promise<void> {
    this.#asking = true;
    const began = performance.now();
    const shown = await this.#ask().catch(() => false);
    this.#asking = false;
    const wait = shown ? Math.max(100, EVERY_MS - (performance.now() - began)) : LATER_MS;
    this.#timer = setTimeout(this.#wake, wait);
  }

  async #ask(): Promise<boolean> {
    const seen = this.canvas.clientWidth * devicePixelRatio;
    const width = WIDTHS.find((one) => one >= seen) ?? WIDTHS.at(-1);
    const path = at(`camera/${encodeURIComponent(this.camera)}/jpeg?width=${width}`);
    const reply = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS) });
    if (!reply.ok) return false;
    const bitmap = await createImageBitmap(await reply.blob());
    if (this.#over) {
      bitmap.close();
      return false;
    }
    show(this.canvas, this.#paper, bitmap);
    this.onShown();
    return true;
  }
}

/** Shows a camera's newest frames on a canvas; whether there has been one. */
export function useSnapshots(canvas: { current: HTMLCanvasElement | null }, camera: string, wanted: boolean): boolean {
  const [shown, setShown] = useState(false);
  useEffect(() => {
    if (!wanted || !canvas.current) return;
    const snapshots = new Snapshots(canvas.current, camera, () => setShown(true));
    return () => snapshots.close();
  }, [camera, wanted]);
  return shown;
}

/** Put a bitmap on a canvas of its size; the canvas takes it over. */
function show(canvas: HTMLCanvasElement, paper: ImageBitmapRenderingContext, bitmap: ImageBitmap): void {
  const { width, height } = bitmap;
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
  paper.transferFromImageBitmap(bitmap);
}
