/** The bar: source, connection, and a button with the data state for each instrument. */

import { byId, element, setText } from "../dom";
import type { LinkState } from "../protocol";
import type { State } from "../state";

const source = byId("source");
const detail = byId("detail");
const nav = byId("instruments");
const link = byId("link");
const badge = byId("state");

export function renderLink(state: LinkState): void {
  document.body.classList.toggle("offline", !state.connected);
  link.classList.toggle("bad", !state.connected);
  setText(link, state.connected ? "connected" : `reconnecting in ${state.retryInS.toFixed(0)} s`);
}

export function renderHeader(state: State, nowMs: number): void {
  const realtime = state.source === "LIVE" || state.source === "SIMULATED";
  const shownSource = state.sourceShown;
  setText(source, shownSource || "…");
  source.dataset["kind"] = shownSource.endsWith("SIMULATED") ? "SIMULATED" : shownSource;
  setText(detail, state.detail);
  detail.title = state.detail;
  for (const [key, one] of state.instruments) {
    let button = nav.querySelector<HTMLButtonElement>(`[data-key="${CSS.escape(key)}"]`);
    if (!button) {
      button = element("button") as HTMLButtonElement;
      button.type = "button";
      button.dataset["key"] = key;
      button.append(element("i"), element("span", "venue", one.venue), element("span", "", one.symbol));
      button.onclick = () => state.select(key);
      nav.append(button);
    }
    const shown = one.shown(nowMs, realtime);
    button.dataset["state"] = shown;
    button.title = `${key}: ${shown}${one.reason ? ` (${one.reason})` : ""}`;
    button.setAttribute("aria-pressed", String(key === state.selected));
  }
  const current = state.current;
  if (!current) return setText(badge, "waiting for the first data");
  const shown = current.shown(nowMs, realtime);
  badge.dataset["state"] = shown;
  const why = shown === "GAP" && current.reason ? `: ${current.reason}` : "";
  setText(badge, `${current.venue} ${current.symbol} ${shown}${why}`);
}
