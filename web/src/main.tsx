import { render } from "preact";
import { loadSession } from "./api/session";
import "./shell/notified";
import "./shell/theme";
import { App } from "./shell/app";
import "./style/tokens.css";
import "./style/base.css";
import "./style/parts.css";
import "./style/shell.css";

/** A token in the address is a cookie by now. */
function hideToken(): void {
  const url = new URL(location.href);
  if (!url.searchParams.has("token")) return;
  url.searchParams.delete("token");
  history.replaceState(history.state, "", url);
}

hideToken();
render(<App />, document.getElementById("app")!);
void loadSession();
