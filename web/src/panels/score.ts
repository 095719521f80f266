/** The running score of every version of every model, beside the baseline that always predicts the majority. */

import uPlot from "uplot";
import { byId, color, element, setText } from "../dom";
import { fixed, percent, span } from "../format";
import type { Score } from "../records";
import { inOrder, type Series } from "../series";
import type { State } from "../state";

const chart = byId("score");
const table = byId("score-table");
const ENOUGH = 300; // outcomes overlap, so that some hundreds say as much as some tens would alone
const MARGIN = 0.99; // a log-loss less than a per cent below the baseline's comes and goes by chance
const COLUMNS = [
  "model", "version", "role", "ahead", "n", "accuracy", "majority", "log-loss", "majority", "Brier", "profit bps", "flagged",
];

export class ScorePanel {
  private plot: uPlot | null = null;
  private body = element("tbody");
  private verdict = element("p", "verdict");
  private flag = element("p", "flag");
  private rows = new Map<string, Row>();
  private shown = "";

  constructor(private readonly state: State) {
    const head = element("tr");
    head.append(...COLUMNS.map((name) => element("th", "", name)));
    head.lastElementChild?.setAttribute("title", "inputs out of the range of the training data: not predicted on");
    const root = element("table");
    const top = element("thead");
    top.append(head);
    root.append(top, this.body);
    table.append(root, this.verdict, this.flag);
  }

  theme(): void {
    this.plot?.destroy();
    this.plot = null;
  }

  render(): void {
    const all = inOrder(this.state.current?.series.values() ?? []).filter((one) => one.scores.length > 0 || one.flagged > 0);
    const followed = this.state.followed;
    this.arrange(all);
    for (const one of all) this.rows.get(one.key)?.update(one, one === followed, one.gone(all));
    setText(this.verdict, verdict(all.flatMap((one) => one.scores.at(-1) ?? [])));
    const flagged = all.filter((one) => one.last?.flag);
    this.flag.hidden = flagged.length === 0;
    setText(this.flag, flagged.map((one) => `${one.model} ${one.version} says nothing now, ${one.last?.flag}.`).join(" "));
    if (followed && followed.scores.length > 1) this.draw(followed.scores);
    else this.plot?.setData([[], [], []]); // not the chart of the instrument shown before
  }

  /** Rows stay where they are while they change: one that is replaced as it is pressed is not pressed. */
  private arrange(all: Series[]): void {
    const keys = JSON.stringify(all.map((one) => one.key));
    if (keys === this.shown) return;
    this.shown = keys;
    this.rows = new Map(all.map((one) => [one.key, this.rows.get(one.key) ?? new Row(() => this.state.follow(one.key))]));
    this.body.replaceChildren(...[...this.rows.values()].map((row) => row.root));
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

class Row {
  readonly root = element("tr");
  private readonly button = element("button") as HTMLButtonElement;
  private readonly cells = COLUMNS.map(() => element("td"));

  constructor(follow: () => void) {
    this.button.type = "button";
    this.button.onclick = follow;
    this.cells[0]?.append(this.button);
    this.root.append(...this.cells);
  }

  update(one: Series, followed: boolean, gone: boolean): void {
    const score = one.scores.at(-1);
    const worse = score !== undefined && score.n >= ENOUGH && score.log_loss > score.baseline_log_loss;
    this.root.className = [score && beats(score) ? "better" : worse ? "worse" : "", gone ? "gone" : ""].join(" ").trim();
    this.button.setAttribute("aria-pressed", String(followed));
    setText(this.button, one.model);
    const texts = [
      one.version.slice(0, 7), gone ? `was ${one.role}` : one.role, span(one.horizonNs), String(score?.n ?? 0),
      ...(score
        ? [
            percent(score.accuracy), percent(score.baseline_accuracy), fixed(score.log_loss, 3),
            fixed(score.baseline_log_loss, 3), fixed(score.brier, 3), fixed(score.profit_bps, 2),
          ]
        : Array<string>(6).fill(fixed(null, 0))),
      String(one.flagged),
    ];
    texts.forEach((text, i) => setText(this.cells[i + 1] as Node, text));
  }
}

function verdict(scores: Score[]): string {
  if (scores.length === 0) return "No outcome is known yet.";
  const judged = scores.filter((score) => score.n >= ENOUGH);
  if (judged.length === 0) return `Too early to tell: fewer than ${ENOUGH} outcomes are known.`;
  const better = judged.filter(beats).map((score) => `${score.model} ahead ${span(score.horizon_ns)}`);
  if (better.length === 0) return "No better than always predicting the majority: do not trade on it.";
  return `Better than the majority baseline: ${better.join(", ")} (by log-loss).`;
}

function beats(score: Score): boolean {
  return score.n >= ENOUGH && score.log_loss < MARGIN * score.baseline_log_loss;
}
