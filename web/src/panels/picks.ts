/** The picks, a row each: mean, risk, Sharpe ratio and their doubt, what they cost; and the weights of the followed one. */

import { byId, element, setText } from "../dom";
import { percent, short, UNKNOWN } from "../format";
import { pickName } from "../portfolio";
import type { Frontier, Pick } from "../records";
import type { State } from "../state";
import { weightBars } from "./bars";
import { PICK_COLORS } from "./frontier_plot";

const COLUMNS: [name: string, title: string, value: (pick: Pick) => string][] = [
  ["mean", "bps a period", (one) => short(one.mean_bps)],
  ["risk", "bps a period", (one) => short(one.risk_bps)],
  ["Sharpe", "mean above cash over risk, a period", (one) => ratio(one.sharpe)],
  ["95 %", "of the Sharpe ratios that bootstraps gave", (one) => (one.sharpe_low == null ? UNKNOWN : `${ratio(one.sharpe_low)} … ${ratio(one.sharpe_high)}`)],
  ["turnover", "sum of all changes of weight from what is held", (one) => (one.turnover == null ? UNKNOWN : percent(one.turnover, 0))],
  ["cost", "bps of the money, at once", (one) => short(one.cost_bps)],
  ["net", "Sharpe ratio after the cost, spread over the periods held", (one) => ratio(one.net_sharpe)],
];
const body = element("tbody");
const told = element("p", "pick-note");
const bars = element("div");

export class PicksPanel {
  private rows = new Map<string, HTMLElement>();

  constructor(private readonly state: State) {
    const head = element("tr");
    head.append(element("th", "", "pick"));
    for (const [name, title] of COLUMNS) {
      const cell = element("th", "", name);
      cell.title = title;
      head.append(cell);
    }
    const top = element("thead");
    top.append(head);
    const table = element("table");
    table.append(top, body);
    const scroller = element("div", "scroller");
    scroller.append(table);
    byId("picks").append(scroller, told, bars);
  }

  render(frontier: Frontier): void {
    const names = Object.keys(frontier.picks);
    if (names.join("|") !== [...this.rows.keys()].join("|")) this.arrange(names);
    const followed = this.state.portfolios.pickIn(frontier.picks);
    for (const name of names) this.update(name, frontier.picks[name] as Pick, name === followed);
    const pick = frontier.picks[followed];
    const stays = pick?.wanted ? "no trade is worth its cost, so what is held stays" : "";
    const note = [pick?.note, stays].filter(Boolean).join("; ");
    told.hidden = note === "";
    setText(told, note);
    bars.replaceChildren(...weightBars(frontier.assets, pick?.weights ?? []));
  }

  /** Rows stay where they are while they change: one that is replaced as it is pressed is not pressed. */
  private arrange(names: string[]): void {
    this.rows = new Map(names.map((name, i) => [name, this.row(name, i)]));
    body.replaceChildren(...this.rows.values());
  }

  private row(name: string, place: number): HTMLElement {
    const root = element("tr", "pick");
    root.style.setProperty("--pick", `var(--${PICK_COLORS[place] ?? "accent"})`);
    const button = element("button", "", pickName(name)) as HTMLButtonElement;
    button.type = "button";
    button.onclick = () => {
      this.state.portfolios.follow(name);
      this.state.dirty.add("frontier");
    };
    const first = element("td");
    first.append(button);
    root.append(first, ...COLUMNS.map(() => element("td")));
    return root;
  }

  private update(name: string, pick: Pick, followed: boolean): void {
    const root = this.rows.get(name);
    root?.querySelector("button")?.setAttribute("aria-pressed", String(followed));
    COLUMNS.forEach(([, , value], i) => {
      const cell = root?.children[i + 1];
      if (cell) setText(cell, value(pick));
    });
  }
}

/** A ratio in three digits: a Sharpe ratio has no more that mean anything. */
function ratio(value: number | null | undefined): string {
  return value == null || !Number.isFinite(value) ? UNKNOWN : String(Number(value.toPrecision(3)));
}
