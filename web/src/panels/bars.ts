/** Weights as bars, the largest first. */

import { color, element } from "../dom";
import { percent } from "../format";

const SHOWN = 8;
const LEAST = 0.005; // of a weight: less is told with the rest
const COLORS = 8;
const ROW_PX = 16; // .weight of style.css

/** An asset's colour, by its place: that of the charts and bars. */
export function assetColor(place: number): string {
  return color(`w-${(place % COLORS) + 1}`);
}

/** Show weights in an element, which keeps its height: what is below is not to jump with every second's weights. */
export function showBars(host: HTMLElement, assets: string[], weights: number[]): void {
  host.replaceChildren(...weightBars(assets, weights));
  host.style.minHeight = `${(Math.min(SHOWN, assets.length) + 1) * ROW_PX}px`;
}

function weightBars(assets: string[], weights: number[]): HTMLElement[] {
  const all = assets.map((asset, i) => ({ asset, place: i, weight: weights[i] ?? 0 }));
  all.sort((a, b) => Math.abs(b.weight) - Math.abs(a.weight));
  const held = all.filter(({ weight }, k) => Math.abs(weight) >= LEAST && k < SHOWN);
  const rows = held.map(({ asset, place, weight }) => {
    const row = element("div", "weight");
    row.style.setProperty("--share", `${Math.min(100, Math.abs(weight) * 100).toFixed(1)}%`);
    row.style.setProperty("--bar", assets.length > COLORS ? "var(--accent)" : `var(--w-${place + 1})`);
    row.append(element("span", "", asset), element("span", "", percent(weight)));
    return row;
  });
  const others = all.length - held.length;
  if (others > 0) rows.push(element("small", "", `${others} more, less of each`));
  return rows;
}
