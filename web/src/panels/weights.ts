/** The followed pick's weights over time, and what has changed within the last minute. */

import uPlot from "uplot";
import { type Changed, changed } from "../changes";
import { byId, color, element, setText } from "../dom";
import { clock, moment, percent } from "../format";
import { byWeight, pickName, stack, type PickOf, type Universe } from "../portfolio";
import type { State } from "../state";
import { assetColor } from "./bars";

const SHOWN = 8; // assets with an area of their own
const MOVES = 4;
const DAY_NS = 86_400e9;
const chart = byId("weights");
const legend = byId("weights-legend");

export class WeightsPanel {
  private plot: uPlot | null = null;
  private shown = "";
  private assets: string[] = [];

  constructor(private readonly state: State) {}

  theme(): void {
    this.plot?.destroy();
    this.plot = null;
    this.shown = "";
  }

  render(one: Universe): void {
    const pickOf: PickOf = (row) => this.state.portfolios.pickOf(row);
    const frontier = one.frontier;
    if (!frontier) return;
    const name = pickName(this.state.portfolios.pickIn(frontier.picks));
    setText(byId("weights-of"), name);
    this.arrange(one, pickOf);
    const [times, ...sums] = stack(one.rows, this.assets, pickOf);
    // The highest area first: each that follows is drawn over it, down to the axis.
    const data = [times, ...sums.reverse()] as uPlot.AlignedData;
    if (this.plot && this.plot.width !== chart.clientWidth && chart.clientWidth > 0) {
      this.plot.setSize({ width: chart.clientWidth, height: chart.clientHeight });
    }
    this.plot ??= this.make(frontier.period_ns);
    this.plot.setData(data);
    setText(byId("changed"), sentence(changed(one.rows, pickOf), frontier.period_ns));
  }

  /** Choose the assets that have an area; while these are the same assets, they stay. */
  private arrange(one: Universe, pickOf: PickOf): void {
    const all = one.frontier?.assets ?? [];
    const many = all.length > SHOWN;
    const portfolios = this.state.portfolios;
    const ranked = many ? [portfolios.pickIn(one.frontier?.picks ?? {}), one.rows.length > 1] : [];
    const key = JSON.stringify([portfolios.name, all, ranked]);
    if (key === this.shown) return;
    this.shown = key;
    this.assets = many ? byWeight(one.rows, pickOf).slice(0, SHOWN) : all;
    this.plot?.destroy();
    this.plot = null;
    const names = many ? [...this.assets, "others"] : this.assets;
    legend.replaceChildren(...names.map((name, i) => {
      const entry = element("span", "key", name);
      entry.style.setProperty("--key", name === "others" ? "var(--cloud)" : assetColor(i));
      return entry;
    }));
  }

  private make(periodNs: number): uPlot {
    const axis: uPlot.Axis = { stroke: color("muted"), grid: { stroke: color("line"), width: 1 }, ticks: { show: false }, font: "10px system-ui" };
    const colors = [...this.assets.map((_, i) => assetColor(i)), color("cloud")].reverse();
    chart.replaceChildren();
    return new uPlot({
      width: chart.clientWidth || 400, height: chart.clientHeight || 160, legend: { show: false }, cursor: { show: false },
      scales: { y: { range: (_u, low, high) => [Math.min(0, low ?? 0), Math.max(1, high ?? 1)] } },
      axes: [{ ...axis, size: 24, space: 70, values: (_u, ticks) => ticks.map((tick) => time(tick * 1e9, periodNs)) }, { ...axis, size: 40, values: (_u, ticks) => ticks.map((tick) => percent(tick, 0)) }],
      series: [{}, ...colors.map((fill): uPlot.Series => ({ fill, stroke: fill, width: 0, points: { show: false } }))],
    }, [[], ...colors.map(() => [])] as unknown as uPlot.AlignedData, chart);
  }
}

/** A moment in UTC: its day where a period is one, else its time. */
function time(ns: number, periodNs: number): string {
  return periodNs >= DAY_NS ? moment(ns).slice(0, 10) : clock(ns);
}

function sentence(found: Changed | null, periodNs: number): string {
  if (!found) return "What changes is told from the second frontier on.";
  const since = time(found.sinceNs, periodNs);
  if (found.moves.length === 0) return `Since ${since}: no weight moved${found.why ? `; ${found.why}` : ""}.`;
  const told = found.moves.slice(0, MOVES).map(([asset, change]) => `${asset} ${change > 0 ? "+" : "−"}${percent(Math.abs(change))}`);
  const more = found.moves.length - told.length;
  const why = found.why ? ` Why: ${found.why}.` : "";
  return `Since ${since}: ${told.join(", ")}${more > 0 ? ` and ${more} more` : ""}.${why}`;
}
