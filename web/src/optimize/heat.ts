/** Two axes of the grid against each other, coloured by a measure: Observable Plot draws it. */

import { cell, plot, scale, type ScaleOptions, text, tip, pointer } from "@observablehq/plot";
import { color, element } from "../dom";
import { type Axis, type Cell, cells, domain, type Measure, type Pick, type Row } from "./rows";

export interface Choice {
  x: Axis;
  y: Axis;
  measure: Measure;
  pick: Pick;
}

const CELL_PX = 30;
const NARROW_PX = 48; // of a column: narrower, its numbers would not fit
const WIDE_PX = 150;
const LETTER_PX = 6.5;

export function renderHeat(host: HTMLElement, rows: Row[], { x, y, measure, pick }: Choice): void {
  const found = cells(rows, x, y, measure, pick);
  if (found.length === 0) return host.replaceChildren(element("p", "empty", "Nothing is scored yet."));
  const scored = rows.filter((row) => measure.of(row) !== null);
  const [across, down] = [domain(scored, x), domain(scored, y)];
  const colour = colours(found, measure);
  const shade = scale({ color: colour });
  const left = 24 + LETTER_PX * Math.max(...down.map((one) => one.length));
  const width = Math.min(Math.max(host.clientWidth || 800, left + across.length * NARROW_PX), left + across.length * WIDE_PX + 40);
  const told = (one: Cell): string => `${one.x}, ${one.y}\n${pick} of ${one.n}: ${one.value.toFixed(measure.decimals)}`;
  const drawn = plot({
    width, height: down.length * CELL_PX + 70, padding: 0.04, marginTop: 34,
    marginLeft: left,
    style: { background: "transparent", color: color("text"), fontSize: "11px", fontFamily: "inherit" },
    x: { domain: across, label: x.name, axis: "top" }, y: { domain: down, label: y.name },
    color: { ...colour, legend: true, label: `${measure.name}${measure.lower ? " (lower is better)" : ""}` },
    marks: [
      cell(found, { x: "x", y: "y", fill: "value", ariaLabel: told }),
      text(found, {
        x: "x", y: "y", text: (one: Cell) => one.value.toFixed(measure.decimals),
        fill: { value: (one: Cell) => readable(String(shade.apply(one.value))), scale: null },
      }),
      tip(found, pointer({ x: "x", y: "y", title: told, fill: color("panel"), stroke: color("line") })),
    ],
  });
  host.replaceChildren(drawn);
}

/** From red for the worse to blue for the better, which the colour-blind tell apart too; one hue where there is no zero. */
function colours(found: Cell[], measure: Measure): ScaleOptions {
  const values = found.map((one) => one.value);
  const [least, most] = [Math.min(...values), Math.max(...values)];
  if (measure.pivot === undefined) {
    const around = least === most ? 1e-6 : 0; // a scale of no width colours nothing
    return { type: "linear", scheme: "viridis", domain: [least - around, most + around], reverse: measure.lower ?? false };
  }
  const reach = Math.max(most - measure.pivot, measure.pivot - least, 1e-9);
  return { type: "diverging", scheme: "RdBu", pivot: measure.pivot, domain: [measure.pivot - reach, measure.pivot + reach] };
}

/** Black or white, whichever can be read on a colour, by its relative luminance (WCAG 2). */
function readable(background: string): string {
  const parts = (/^#/.test(background)
    ? [1, 3, 5].map((at) => parseInt(background.slice(at, at + 2), 16))
    : (background.match(/[\d.]+/g) ?? []).map(Number)
  ).map((part) => (part / 255 <= 0.04045 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4));
  const [red = 0, green = 0, blue = 0] = parts;
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179 ? "#000" : "#fff";
}
