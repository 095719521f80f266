/** The last trades. */

import { byId, element } from "../dom";
import { clock, decimalsOf, fixed, short } from "../format";
import type { State } from "../state";

const SHOWN = 26;
const host = byId("trades");

export function renderTrades(state: State): void {
  const trades = state.current?.trades.slice(0, SHOWN) ?? [];
  if (trades.length === 0) {
    host.replaceChildren(element("p", "empty", "No trades on this source yet."));
    return;
  }
  const decimals = decimalsOf(trades.map((trade) => trade.price));
  host.replaceChildren(
    ...trades.map((trade) => {
      const row = element("div", `trade ${trade.side ?? ""}`);
      row.append(
        element("span", "muted", clock(trade.ts_event_ns)),
        element("span", "price", fixed(trade.price, decimals)),
        element("span", "size", short(trade.size)),
      );
      return row;
    }),
  );
}
