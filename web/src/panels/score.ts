/** The model's running score beside the baseline that always predicts the majority. */

import uPlot from "uplot";
import { byId, color, element, setText } from "../dom";
import { fixed, percent, span } from "../format";
import type { Score } from "../records";
import type { State } from "../state";

const chart = byId("score");
const table = byId("score-table");
const ENOUGH = 300; // outcomes overlap, so that some hundreds say as much as some tens would alone
const MARGIN = 0.99; // a log-loss less than a per cent below the baseline's comes and goes by chance
const COLUMNS = ["ahead", "n", "accuracy", "majority", "log-loss", "majority"];

export class ScorePanel {
  private plot: uPlot | null = null;
  private body = element("tbody");
  private verdict = element("p", "verdict");

  constructor(private readonly state: State) {
    const head = element("tr");
    head.append(...COLUMNS.map((name) => element("th", "", name)));
    const root = element("table");
    const top = element("thead");
    top.append(head);
    root.append(top, this.body);
    table.append(root, this.verdict);
  }

  theme(): void {
    this.plot?.destroy();
    this.plot = null;
  }

  render(): void {
    const scores = this.state.current?.scores ?? new Map<number, Score[]>();
    const horizons = [...scores.keys()].sort((a, b) => a - b);
    this.body.replaceChildren(...horizons.map((ns) => row(ns, scores.get(ns)?.at(-1))));
    setText(this.verdict, verdict(horizons.flatMap((ns) => scores.get(ns)?.at(-1) ?? [])));
    const main = scores.get(horizons[1] ?? horizons[0] ?? 0);
    if (main && main.length > 1) this.draw(main);
    else this.plot?.setData([[], [], []]); // not the chart of the instrument shown before
  }

  private draw(scores: Score[]): void {
    const data: uPlot.AlignedData = [
      scores.map((one) => one.n), scores.map((one) => one.log_loss), scores.map((one) => one.baseline_log_loss),
    ];
    this.plot ??= this.make(data);
    if (this.plot.width !== chart.clientWidth && chart.clientWidth > 0) {
      this.plot.setSize({ width: chart.clientWidth, height: chart.clientHeight });
    }
    this.plot.setData(data);
  }

  private make(data: uPlot.AlignedData): uPlot {
    const axis: uPlot.Axis = { stroke: color("muted"), grid: { stroke: color("line"), width: 1 }, ticks: { show: false }, font: "10px system-ui", labelFont: "10px system-ui", labelSize: 14 };
    return new uPlot({
      width: chart.clientWidth || 300, height: chart.clientHeight || 120, legend: { show: false }, cursor: { show: false },
      scales: { x: { time: false } },
      axes: [{ ...axis, size: 22 }, { ...axis, label: "log-loss (lower is better)", size: 40 }],
      series: [
        {}, { label: "model", stroke: color("accent"), width: 2 },
        { label: "majority", stroke: color("muted"), width: 1.5, dash: [4, 3] },
      ],
    }, data, chart);
  }
}

function verdict(scores: Score[]): string {
  if (scores.length === 0) return "No outcome is known yet.";
  const judged = scores.filter((score) => score.n >= ENOUGH);
  if (judged.length === 0) return `Too early to tell: fewer than ${ENOUGH} outcomes are known.`;
  const better = judged.filter(beats).map((score) => span(score.horizon_ns));
  if (better.length === 0) return "No better than always predicting the majority: do not trade on it.";
  return `Better than the majority baseline ahead ${better.join(", ")} (by log-loss).`;
}

function beats(score: Score): boolean {
  return score.n >= ENOUGH && score.log_loss < MARGIN * score.baseline_log_loss;
}

function row(horizonNs: number, score: Score | undefined): HTMLElement {
  if (!score) return element("tr");
  const worse = score.n >= ENOUGH && score.log_loss > score.baseline_log_loss;
  const root = element("tr", beats(score) ? "better" : worse ? "worse" : "");
  root.append(
    ...[
      span(horizonNs), String(score.n), percent(score.accuracy), percent(score.baseline_accuracy),
      fixed(score.log_loss, 3), fixed(score.baseline_log_loss, 3),
    ].map((text) => element("td", "", text)),
  );
  return root;
}
