/** Wiring of the page of searches: it asks each two seconds how far they are, and draws what has changed. */

import "./style.css";
import "./optimize.css";
import { byId, element, setText } from "./dom";
import { renderHeat } from "./optimize/heat";
import { AXES, filtered, MEASURES, PICKS, type SearchState, type SearchTable, stateText } from "./optimize/rows";
import { Table } from "./optimize/table";
import { followTheme } from "./theme";

const POLL_MS = 2000;
const NONE = "There is no search yet: quicksilver search SEARCH.toml FROM makes one.";

const searches = byId<HTMLSelectElement>("searches");
const filter = byId<HTMLInputElement>("filter");
const bar = byId<HTMLProgressElement>("bar");
const heat = byId("heat");
let found: SearchTable | null = null;
let shownAs = ""; // the state of what is shown: nothing is fetched again that has not changed

const table = new Table(byId("table"), (drawn) => {
  const of = found?.rows.length ?? 0;
  setText(byId("shown"), `${drawn.toLocaleString("en")} of ${of.toLocaleString("en")} shown`);
});

function choice<T>(id: string, values: readonly T[], label: (value: T) => string, first: number): () => T {
  const select = byId<HTMLSelectElement>(id);
  select.replaceChildren(...values.map((value) => element("option", "", label(value))));
  select.selectedIndex = first;
  select.onchange = draw;
  return () => values[Math.max(0, select.selectedIndex)] as T;
}

const x = choice("heat-x", AXES, (axis) => axis.name, 1);
const y = choice("heat-y", AXES, (axis) => axis.name, 0);
const measure = choice("heat-measure", MEASURES, (one) => one.name, 0);
const pick = choice("heat-of", PICKS, (one) => one, 0);

function draw(): void {
  const rows = filtered(found?.rows ?? [], filter.value);
  setText(byId("verdict"), found?.verdict ?? NONE);
  table.render(rows);
  renderHeat(heat, rows, { x: x(), y: y(), measure: measure(), pick: pick() });
}

async function asked<T>(url: string): Promise<T | null> {
  const response = await fetch(url).catch(() => undefined);
  setText(byId("link"), response?.ok ? "" : "the server does not answer");
  byId("link").classList.toggle("bad", !response?.ok);
  return response?.ok ? ((await response.json()) as T) : null;
}

/** List the searches; returns the chosen one: of the address, or of the list. */
function chosen(states: SearchState[]): SearchState | undefined {
  const names = states.map((state) => state.name);
  if (JSON.stringify(names) !== searches.dataset["names"]) {
    searches.dataset["names"] = JSON.stringify(names);
    searches.replaceChildren(...names.map((name) => element("option", "", name)));
    const wanted = decodeURIComponent(location.hash.slice(1));
    searches.value = names.includes(wanted) ? wanted : (states.find((state) => state.running)?.name ?? names[0] ?? "");
  }
  return states.find((state) => state.name === searches.value);
}

async function look(): Promise<void> {
  const states = await asked<SearchState[]>("/api/search");
  if (!states) return;
  const state = chosen(states);
  setText(byId("state"), state ? stateText(state) : "");
  bar.hidden = !state;
  bar.value = state ? state.done / Math.max(1, state.total) : 0;
  const now = state ? JSON.stringify([state.name, state.done, state.total]) : "none";
  if (now === shownAs) return;
  const fetched = state ? await asked<SearchTable>(`/api/search/${encodeURIComponent(state.name)}`) : null;
  if (state && (!fetched || fetched.state.name !== searches.value)) return; // away, or another was chosen meanwhile
  found = fetched;
  shownAs = now;
  draw();
}

async function watch(): Promise<void> {
  for (;;) {
    await look();
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

searches.onchange = () => {
  location.hash = encodeURIComponent(searches.value);
  void look();
};
filter.oninput = draw;
window.addEventListener("resize", draw);
followTheme(draw);
void watch();
