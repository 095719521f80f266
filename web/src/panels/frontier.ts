/** The frontier: the cloud of portfolios, the Pareto line, the picks and their weights. */

import uPlot from "uplot";
import { byId, color, element, setText } from "../dom";
import { percent, short, span } from "../format";
import type { Frontier } from "../records";
import type { State } from "../state";

const NAMES: Record<string, string> = {
  min_variance: "min variance", max_sharpe: "max Sharpe", equal_weight: "equal weight",
  max_sharpe_fallback: "max Sharpe: no asset above cash, so min variance",
};
const SHOWN_WEIGHTS = 8;
const PICK_COLORS = ["pick-1", "pick-2", "pick-3"];
const chart = byId("frontier");
const picks = byId("picks");

export class FrontierPanel {
  private plot: uPlot | null = null;
  private shown: Frontier | null = null;

  constructor(private readonly state: State) {}

  theme(): void {
    this.plot?.destroy();
    this.plot = null;
    if (this.shown) this.state.dirty.add("frontier");
  }

  render(): void {
    const frontier = this.state.frontier;
    if (!frontier) return;
    this.shown = frontier;
    setText(
      byId("frontier-note"),
      `${short(frontier.n_portfolios)} portfolios of ${frontier.assets.length} assets, each ${span(frontier.period_ns)}, ` +
        `from ${frontier.n_observations} returns`,
    );
    const data = points(frontier);
    this.plot ??= this.make(data);
    if (this.plot.width !== chart.clientWidth && chart.clientWidth > 0) {
      this.plot.setSize({ width: chart.clientWidth, height: chart.clientHeight });
    }
    this.plot.setData(data);
    this.table(frontier);
  }

  private make(data: uPlot.AlignedData): uPlot {
    const dots = (name: string, size: number): uPlot.Series => ({
      paths: () => null, stroke: color(name), points: { show: true, size, fill: color(name), width: 0 },
    });
    const axis: uPlot.Axis = { stroke: color("muted"), grid: { stroke: color("line"), width: 1 }, ticks: { show: false }, font: "10px system-ui", labelFont: "10px system-ui", labelSize: 16 };
    const values = (_u: uPlot, ticks: number[]) => ticks.map((tick) => short(tick));
    chart.replaceChildren(); // the sentence that stood in for it
    return new uPlot({
      width: chart.clientWidth || 400, height: chart.clientHeight || 240, legend: { show: false },
      cursor: { points: { show: false }, x: false, y: false },
      hooks: { setCursor: [(u) => this.hover(u)] },
      scales: { x: { time: false } },
      axes: [{ ...axis, label: "risk, bps a period", size: 24, values }, { ...axis, label: "mean, bps a period", size: 50, values }],
      series: [
        {}, dots("cloud", 2.5),
        { stroke: color("accent"), width: 2, spanGaps: true, points: { show: false } },
        ...PICK_COLORS.map((name) => dots(name, 11)),
      ],
    }, data, chart);
  }

  /** Under the mouse: the weights of the nearest portfolio on the line. */
  private hover(u: uPlot): void {
    const frontier = this.shown;
    const left = u.cursor.left ?? -1;
    if (!frontier || left < 0) return;
    const risk = u.posToVal(left, "x");
    let best = 0;
    frontier.frontier.forEach((point, i) => {
      if (Math.abs(point[0] - risk) < Math.abs((frontier.frontier[best]?.[0] ?? 0) - risk)) best = i;
    });
    const weights = frontier.frontier_weights[best] ?? [];
    const text = frontier.assets
      .map((asset, i) => [asset, weights[i] ?? 0] as const)
      .filter(([, weight]) => weight > 0.005)
      .sort((a, b) => b[1] - a[1])
      .map(([asset, weight]) => `${asset} ${percent(weight, 0)}`);
    chart.title = `on the line at risk ${short(frontier.frontier[best]?.[0])} bps: ${text.join(", ")}`;
  }

  private table(frontier: Frontier): void {
    picks.replaceChildren(
      ...Object.entries(frontier.picks).map(([name, pick], i) => {
        const root = element("div", "pick");
        root.style.setProperty("--pick", `var(--${PICK_COLORS[i] ?? "accent"})`);
        const head = element("div", "pick-head");
        head.append(
          element("b", "", NAMES[name] ?? name),
          element("small", "", `risk ${short(pick.risk_bps)}, mean ${short(pick.mean_bps)} bps, Sharpe ${short(pick.sharpe)}`),
        );
        root.append(head);
        const held = frontier.assets
          .map((asset, k) => [asset, pick.weights[k] ?? 0] as const)
          .sort((a, b) => b[1] - a[1])
          .filter(([, weight], k) => weight >= 0.005 && k < SHOWN_WEIGHTS);
        held.forEach(([asset, weight]) => {
          const row = element("div", "weight");
          row.style.setProperty("--share", `${(weight * 100).toFixed(1)}%`);
          row.append(element("span", "", asset), element("span", "", percent(weight)));
          root.append(row);
        });
        const others = frontier.assets.length - held.length;
        if (others > 0) root.append(element("small", "", `${others} more, less of each`));
        return root;
      }),
    );
  }
}

function points(frontier: Frontier): uPlot.AlignedData {
  const table = (pairs: [number, number][]): uPlot.AlignedData => {
    const sorted = [...pairs].sort((a, b) => a[0] - b[0]);
    return [sorted.map((pair) => pair[0]), sorted.map((pair) => pair[1])];
  };
  const chosen = Object.values(frontier.picks).slice(0, PICK_COLORS.length);
  const single = PICK_COLORS.map((_, i) => {
    const pick = chosen[i];
    return table(pick ? [[pick.risk_bps, pick.mean_bps]] : []);
  });
  return uPlot.join([table(frontier.cloud), table(frontier.frontier), ...single]);
}
