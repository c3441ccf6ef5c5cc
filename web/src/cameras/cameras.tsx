import type { JSX } from "preact";
import { useRights } from "../api/session";
import type { ViewProps } from "../shell/views";
import { AddCamera } from "./add";
import "./cameras.css";
import { CameraView } from "./detail";
import { CameraList } from "./list";
import "./places.css";

const NEW = "new";

export default function Cameras({ path, query }: ViewProps): JSX.Element {
  const may = useRights();
  const [id] = path;
  if (id === NEW && may("control", "*")) return <AddCamera />;
  return id ? <CameraView key={id} id={id} tab={query.get("tab")} /> : <CameraList />;
}
