/** The page: navigation beside the current view, or the sign-in. */

import type { ComponentType, JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { loadSession, session, useRights } from "../api/session";
import { Button, Empty, Problem, Spinner, Toasts, View, WarningIcon } from "../parts";
import { useStore } from "../store";
import { language } from "../words";
import { t as common } from "../words/common";
import { t } from "../words/shell";
import { Navigation } from "./navigation";
import { useRoute } from "./router";
import { SignIn } from "./sign_in";
import { VIEWS, type ViewEntry, type ViewProps } from "./views";

export function App(): JSX.Element {
  useStore(language); // all is rendered again in another language
  const current = useStore(session);
  switch (current.kind) {
    case "loading":
      return <Whole><Spinner /></Whole>;
    case "unreachable":
      return <Unreachable />;
    case "locked":
      return <Whole><SignIn options={current.options} /></Whole>;
    case "open":
      return <ControlRoom />;
  }
}

function Whole({ children }: { children: JSX.Element }): JSX.Element {
  return (
    <main class="whole">
      {children}
      <Toasts />
    </main>
  );
}

const RETRY_MS = 3000;

function Unreachable(): JSX.Element {
  useEffect(() => {
    const timer = setInterval(loadSession, RETRY_MS);
    return () => clearInterval(timer);
  }, []);
  return (
    <Whole>
      <Empty
        icon={WarningIcon}
        title={common("unreachable")}
        actions={<Button onClick={loadSession}>{common("retry")}</Button>}
      >
        {t("trying")}
      </Empty>
    </Whole>
  );
}

function ControlRoom(): JSX.Element {
  const route = useRoute();
  const may = useRights();
  const main = useRef<HTMLElement>(null);
  const views = VIEWS.filter(({ right }) => may(right));
  const view = views.find(({ name }) => name === route.view);
  useFocusOnChange([route.view, ...route.path].join("/"), main);
  return (
    <div class="room">
      <a
        class="skip"
        href="#main"
        onClick={(event) => {
          event.preventDefault(); // the fragment is the address of a view
          main.current?.focus();
        }}
      >
        {t("skip")}
      </a>
      <Navigation views={views} current={route.view} />
      <main class="main" id="main" ref={main} tabIndex={-1}>
        {view ? (
          <Loaded key={view.name} view={view} path={route.path} query={route.query} />
        ) : (
          <View title={t("missing")}>
            <Empty title={t("missing")}>{t("missing_text")}</Empty>
          </View>
        )}
      </main>
      <Toasts />
    </div>
  );
}

/**
 * Screen readers and the keyboard follow to another place, unless the view has put the focus
 * somewhere itself.
 */
function useFocusOnChange(place: string, main: { current: HTMLElement | null }): void {
  const last = useRef(place);
  useEffect(() => {
    if (last.current === place) return;
    last.current = place;
    const focused = document.activeElement;
    if (focused === null || focused === document.body || focused.closest("nav")) {
      main.current?.focus({ preventScroll: true });
      scrollTo(0, 0);
    }
  }, [place]);
}

const loaded = new Map<string, ComponentType<ViewProps>>();

/** A view, once its file is loaded. */
function Loaded({ view, ...props }: ViewProps & { view: ViewEntry }): JSX.Element {
  const [, update] = useState(0);
  const [failed, setFailed] = useState(false);
  const load = async () => {
    setFailed(false);
    try {
      loaded.set(view.name, (await view.load()).default);
      update((n) => n + 1);
    } catch {
      setFailed(true);
    }
  };
  useEffect(() => {
    if (!loaded.has(view.name)) void load();
  }, []);
  const Content = loaded.get(view.name);
  if (Content) return <Content {...props} />;
  return failed ? <Problem text={common("unreachable")} onRetry={load} /> : <Spinner />;
}
