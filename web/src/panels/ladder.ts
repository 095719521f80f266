/** The book: ten levels a side with bars of cumulative size, and the depth chart. */

import uPlot from "uplot";
import { byId, color, element, setText } from "../dom";
import { decimalsOf, fixed, short } from "../format";
import type { BookTop, Level } from "../records";
import type { State } from "../state";

const LEVELS = 10;
const host = byId("ladder");

interface Row {
  root: HTMLElement;
  cells: HTMLElement[];
}

export class LadderPanel {
  private asks: Row[] = [];
  private bids: Row[] = [];
  private empty = element("p", "empty", "No book on this source: its rows are prices.");
  private depth: uPlot | null = null;

  constructor(private readonly state: State) {
    const head = element("div", "level head-row");
    head.append(...["price", "size", "total"].map((name) => element("span", "", name)));
    host.append(head);
    for (let i = 0; i < LEVELS; i++) this.asks.unshift(this.row("ask"));
    host.append(element("div", "middle"));
    for (let i = 0; i < LEVELS; i++) this.bids.push(this.row("bid"));
    this.empty.hidden = true;
    host.append(this.empty);
  }

  private row(side: string): Row {
    const root = element("div", `level ${side}`);
    const cells = ["price", "size", "total"].map((name) => element("span", name));
    root.append(...cells);
    host.append(root);
    return { root, cells };
  }

  theme(): void {
    this.depth?.destroy();
    this.depth = null;
  }

  render(): void {
    const one = this.state.current;
    const hasBook = one?.top != null && one.state !== "GAP";
    this.empty.hidden = hasBook || one === undefined || one.state === "SYNCING";
    if (one?.state === "GAP") setText(this.empty, "The book is in doubt: waiting for a new snapshot.");
    else setText(this.empty, "No book on this source: its rows are prices.");
    host.classList.toggle("none", !hasBook);
    byId("depth").hidden = !hasBook;
    if (!hasBook || !one.top) return setText(byId("spread"), "");
    this.fill(one.top);
    this.drawDepth(one.top);
  }

  private fill(top: BookTop): void {
    const decimals = decimalsOf([...top.bids, ...top.asks].map((level) => level[0]));
    const most = Math.max(top.bids.at(-1)?.[2] ?? 0, top.asks.at(-1)?.[2] ?? 0) || 1;
    const paint = (row: Row, level: Level | undefined) => {
      const texts = level ? [fixed(level[0], decimals), short(level[1]), short(level[2])] : ["", "", ""];
      row.cells.forEach((cell, i) => setText(cell, texts[i] ?? ""));
      row.root.style.setProperty("--share", level ? `${((100 * level[2]) / most).toFixed(1)}%` : "0%");
    };
    this.asks.forEach((row, i) => paint(row, top.asks[i]));
    this.bids.forEach((row, i) => paint(row, top.bids[i]));
    const [bid, ask] = [top.bids[0]?.[0], top.asks[0]?.[0]];
    if (bid === undefined || ask === undefined) return setText(byId("spread"), "one side is empty");
    const bps = ((ask - bid) / ((ask + bid) / 2)) * 1e4;
    setText(byId("spread"), `spread ${fixed(ask - bid, decimals)} (${short(bps)} bps)`);
    setText(host.querySelector(".middle")!, `mid ${fixed((bid + ask) / 2, decimals + 1)}`);
  }

  private drawDepth(top: BookTop): void {
    const bids = [...top.bids].reverse();
    const data = uPlot.join([
      [bids.map((level) => level[0]), bids.map((level) => level[2])],
      [top.asks.map((level) => level[0]), top.asks.map((level) => level[2])],
    ]) as uPlot.AlignedData;
    this.depth ??= this.makeDepth(data);
    const root = byId("depth");
    if (this.depth.width !== root.clientWidth && root.clientWidth > 0) {
      this.depth.setSize({ width: root.clientWidth, height: root.clientHeight });
    }
    this.depth.setData(data);
  }

  private makeDepth(data: uPlot.AlignedData): uPlot {
    const root = byId("depth");
    const side = (label: string, name: string, align: 1 | -1): uPlot.Series => ({
      label, stroke: color(name), fill: `${color(name)}33`, width: 1.5, spanGaps: true,
      paths: uPlot.paths.stepped!({ align }), points: { show: false },
    });
    const axis: uPlot.Axis = { stroke: color("muted"), grid: { stroke: color("line"), width: 1 }, ticks: { show: false }, font: "10px system-ui", size: 24 };
    return new uPlot({
      width: root.clientWidth || 300, height: root.clientHeight || 120, legend: { show: false }, cursor: { show: false },
      scales: { x: { time: false } },
      axes: [{ ...axis, space: 70 }, { ...axis, size: 40, values: (_u, ticks) => ticks.map((tick) => short(tick)) }],
      series: [{}, side("bids", "up", -1), side("asks", "down", 1)],
    }, data, root);
  }
}
