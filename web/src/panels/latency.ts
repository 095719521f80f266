/** Latency per hop, message rates, and input that was refused. */

import { byId, element, setText } from "../dom";
import { microseconds } from "../format";
import { counters } from "../protocol";
import type { State } from "../state";

const host = byId("latency");

export function renderLatency(state: State): void {
  const hops = [...state.latency.values()].sort((a, b) => a.hop.localeCompare(b.hop));
  const root = element("table");
  const head = element("tr");
  head.append(...["hop", "p50", "p99", "max", "per s"].map((name) => element("th", "", name)));
  root.append(head);
  for (const one of hops) {
    const row = element("tr");
    const cells = [
      one.hop.replace(/^\d /, ""), microseconds(one.p50_us), microseconds(one.p99_us), microseconds(one.max_us), String(one.n),
    ];
    row.append(...cells.map((text) => element("td", "", text)));
    root.append(row);
  }
  host.replaceChildren(hops.length ? root : element("p", "empty", "Measured each second."));
  setText(byId("rates"), `${counters.rows.toLocaleString("en")} rows, ${counters.lost} lost`);
  setText(byId("n-letters"), String(state.nLetters));
  byId("letters").replaceChildren(
    ...state.letters.map(({ letter }) => element("li", "", `${letter.source || letter.venue}: ${letter.reason}`)),
  );
}
