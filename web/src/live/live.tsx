/** The wall of all cameras, or one of them: `#/live`, `#/live/CAMERA`. */

import type { JSX } from "preact";
import { useRef } from "preact/hooks";
import type { ViewProps } from "../shell/views";
import { Enlarged } from "./enlarged";
import "./live.css";
import { Wall } from "./wall";

export default function Live({ path }: ViewProps): JSX.Element {
  const [camera] = path;
  const last = useRef<string | undefined>(undefined);
  if (camera !== undefined) last.current = camera;
  return camera === undefined ? <Wall opened={last.current} /> : <Enlarged id={camera} />;
}
