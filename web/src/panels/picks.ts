/** The picks, a row each: mean, risk, Sharpe ratio and their doubt, what they cost; and the weights of the followed one. */

import { byId, element, setText } from "../dom";
import { percent, short, UNKNOWN } from "../format";
import { pickName, riskOf, spoken } from "../portfolio";
import type { Frontier, Pick } from "../records";
import type { State } from "../state";
import { showBars } from "./bars";
import { PICK_COLORS } from "./frontier_plot";

const COLUMNS: [name: string, title: string | ((of: Frontier) => string), value: (pick: Pick) => string][] = [
  ["mean bps", "log return, bps a period", (one) => digits(one.mean_bps)],
  ["risk bps", riskOf, (one) => digits(one.risk_bps)],
  ["Sharpe", (of) => `mean above cash over risk (${riskOf(of)})`, (one) => digits(one.sharpe)],
  ["95 %", "of the Sharpe ratios that bootstraps gave", (one) => (one.sharpe_low == null ? UNKNOWN : `${digits(one.sharpe_low, 2)}…${digits(one.sharpe_high, 2)}`)],
  ["net", (of) => `Sharpe ratio after the cost, spread over ${of.hold ?? "the"} periods held`, (one) => digits(one.net_sharpe)],
  ["cost bps", (of) => `bps of the money, at once${costsOf(of)}`, (one) => digits(one.cost_bps)],
  ["turnover", "sum of all changes of weight from what is held", (one) => (one.turnover == null ? UNKNOWN : percent(one.turnover, 0))],
];
const body = element("tbody");
const told = element("p", "pick-note");
const bars = element("div", "pick-weights");

export class PicksPanel {
  private rows = new Map<string, HTMLElement>();
  private readonly heads = COLUMNS.map(([name]) => element("th", "", name));

  constructor(private readonly state: State) {
    const head = element("tr");
    head.append(element("th", "", "pick"));
    head.append(...this.heads);
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
    COLUMNS.forEach(([, title], i) => {
      (this.heads[i] as HTMLElement).title = typeof title === "string" ? title : title(frontier);
    });
    const followed = this.state.portfolios.pickIn(frontier.picks);
    for (const name of names) this.update(name, frontier.picks[name] as Pick, name === followed);
    const pick = frontier.picks[followed];
    const note = spoken(pick?.note);
    told.hidden = note === "";
    setText(told, note);
    showBars(bars, frontier.assets, pick?.weights ?? []);
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

/** What costs are counted, if it is told. */
function costsOf({ costs }: Frontier): string {
  return costs ? `: fee ${costs.fee_bps}, half of the spread of ${costs.spread_bps}, impact of all the money ${costs.impact_bps}` : "";
}

/** Three digits: an estimate has no more that mean anything. */
function digits(value: number | null | undefined, most = 3): string {
  return value == null || !Number.isFinite(value) ? UNKNOWN : short(Number(value.toPrecision(most)));
}
