/** The feature strip: a tile for each feature with its value, unit, recent course and formula. */

import { byId, color, element, fetchJson, setText } from "../dom";
import { price, short } from "../format";
import type { FeatureSpec } from "../records";
import { shownName, withinRow } from "../rows";
import type { State } from "../state";

const host = byId("features");

interface Tile {
  name: HTMLElement;
  value: HTMLElement;
  canvas: HTMLCanvasElement;
}

const PRICES = new Set(["mid", "microprice"]);

export class FeaturePanel {
  private tiles = new Map<string, Tile>();
  private lastMs = 0;

  constructor(private readonly state: State) {
    void this.load();
  }

  private async load(): Promise<void> {
    for (const spec of await fetchJson<FeatureSpec[]>("/api/feature-specs")) this.add(spec);
    this.state.dirty.add("features");
  }

  private add(spec: FeatureSpec): void {
    const root = element("div", "tile");
    root.dataset["feature"] = spec.name;
    root.tabIndex = 0;
    root.title = `${spec.name}\n${spec.formula}\nunit: ${spec.unit}\nknown after: ${spec.warm_up}`;
    const value = element("b", "", "–");
    const canvas = element("canvas") as HTMLCanvasElement;
    canvas.width = 96;
    canvas.height = 20;
    const name = element("span", "name", shownName(spec.name, 0));
    const line = element("div", "value");
    line.append(value, element("small", "", spec.unit));
    root.append(name, line, canvas);
    host.append(root);
    this.tiles.set(spec.name, { name, value, canvas });
  }

  /** Sparklines are drawn ten times a second: nobody reads faster, and there are 28. */
  render(nowMs: number): boolean {
    const one = this.state.current;
    if (!one) return true;
    const rowNs = this.state.source === "CSV" && one.candles.size > 0 ? Math.min(...one.candles.keys()) : 0;
    for (const [name, tile] of this.tiles) {
      const value = withinRow(name, rowNs) ? null : (one.features?.[name] as number | null);
      setText(tile.name, shownName(name, rowNs));
      setText(tile.value, (PRICES.has(name) ? price : short)(value));
    }
    if (nowMs - this.lastMs < 100) return false;
    this.lastMs = nowMs;
    const stroke = color("accent");
    for (const [name, tile] of this.tiles) {
      spark(tile.canvas, withinRow(name, rowNs) ? [] : (one.samples.get(name) ?? []), stroke);
    }
    return true;
  }
}

function spark(canvas: HTMLCanvasElement, samples: (number | null)[], stroke: string): void {
  const context = canvas.getContext("2d");
  if (!context) return;
  context.clearRect(0, 0, canvas.width, canvas.height);
  const known = samples.filter((value): value is number => value !== null);
  if (known.length < 2) return;
  const [low, high] = [Math.min(...known), Math.max(...known)];
  const scale = high > low ? (canvas.height - 4) / (high - low) : 0;
  context.strokeStyle = stroke;
  context.beginPath();
  samples.forEach((value, i) => {
    if (value === null) return;
    context.lineTo((i / (samples.length - 1)) * canvas.width, canvas.height - 2 - (value - low) * scale);
  });
  context.stroke();
}
