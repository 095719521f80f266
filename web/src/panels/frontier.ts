/** Efficient portfolios: the cloud, the line and the picks of one universe, and the weights wherever one drags along. */

import type uPlot from "uplot";
import { byId, Choice, fetchJson, setText } from "../dom";
import { age, moment, short, span } from "../format";
import { computedNs, nearest, riskOf, type PickRow, type Universe } from "../portfolio";
import type { Frontier } from "../records";
import type { State } from "../state";
import { showBars } from "./bars";
import { CorrelationPanel } from "./correlation";
import { cloudPlot, points } from "./frontier_plot";
import { PicksPanel } from "./picks";
import { WeightsPanel } from "./weights";

const HISTORY_ROWS = 300;
const LATE_PERIODS = 3; // without news after so many, and LATE_S more, the age is told
const LATE_S = 5;
const chart = byId("frontier");
const slider = byId<HTMLInputElement>("along");

export class FrontierPanel {
  private plot: uPlot | null = null;
  private shown: Frontier | null = null;
  private risk = ""; // on the plot's axis
  private at = 0; // of the line: where the slider is
  private dragged = false; // until then the slider is where the followed pick is
  private readonly universes = new Choice<string>(byId("universes"), (name) => name);
  private readonly picks: PicksPanel;
  private readonly weights: WeightsPanel;
  private readonly correlation = new CorrelationPanel();

  constructor(private readonly state: State) {
    this.picks = new PicksPanel(state);
    this.weights = new WeightsPanel(state);
    slider.addEventListener("input", () => this.drag(Number(slider.value)));
  }

  theme(): void {
    this.plot?.destroy();
    this.plot = null;
    this.weights.theme();
    if (this.shown) this.state.dirty.add("frontier");
  }

  render(): void {
    const all = this.state.portfolios;
    const one = all.current;
    if (!one?.frontier) return;
    if (!one.historyAsked) void this.loadHistory(all.name, one);
    byId("universes").hidden = all.names.length < 2;
    this.universes.render(all.names, all.name, (name) => this.choose(name));
    this.shown = one.frontier;
    this.tell(Date.now());
    if (one.frontier.assets.length === 0) return this.clear();
    this.draw(one.frontier);
    this.picks.render(one.frontier);
    this.weights.render(one);
    this.correlation.render(one.frontier);
  }

  private choose(name: string): void {
    this.state.portfolios.choose(name);
    this.dragged = false;
    this.state.dirty.add("frontier");
  }

  /** Say what the frontier is of, and how old it is where that matters; time goes on without messages. */
  tell(nowMs: number): void {
    const frontier = this.shown;
    if (!frontier) return;
    const halflife = frontier.halflife ? `, half-life ${span(frontier.halflife * frontier.period_ns)}` : "";
    const by = Object.values(frontier.estimators ?? {}).join(", ");
    const what = frontier.assets.length === 0
      ? "portfolios"
      : `${short(frontier.n_portfolios)} portfolios of ${frontier.assets.length} assets, from ${frontier.n_observations} returns`;
    setText(byId("frontier-note"), `${what}, anew each ${span(frontier.period_ns)}${halflife}${by ? ` (${by})` : ""}`);
    const said = status(frontier, nowMs, this.state.recorded);
    setText(byId("frontier-state"), said);
    byId("frontier-state").hidden = said === "";
    byId("folio").classList.toggle("waiting", frontier.state === "WAITING");
    const absent = Object.entries(frontier.absent ?? {}).map(([asset, why]) => `${asset} (${why})`);
    byId("frontier-absent").hidden = absent.length === 0;
    setText(byId("frontier-absent"), `Not in it now: ${absent.join(", ")}.`);
  }

  /** What was before the page was opened. */
  private async loadHistory(name: string, one: Universe): Promise<void> {
    one.historyAsked = true;
    const asked = `/api/portfolios/${encodeURIComponent(name)}/history?picks_only=true&limit=${HISTORY_ROWS}`;
    one.addHistory((await fetchJson<{ rows: PickRow[] }>(asked)).rows);
    this.state.dirty.add("frontier");
  }

  /** A universe that has never had a frontier has nothing to show; it keeps its place, so that nothing jumps. */
  private clear(): void {
    this.plot?.destroy();
    this.plot = null;
    chart.replaceChildren();
    byId("folio").classList.add("empty");
  }

  private draw(frontier: Frontier): void {
    byId("folio").classList.remove("empty");
    this.place(frontier);
    const data = points(frontier, this.at);
    if (this.plot && this.risk !== riskOf(frontier)) this.theme(); // another universe's: other axes
    if (!this.plot) {
      chart.replaceChildren(); // the sentence that stood in for it
      this.risk = riskOf(frontier);
      this.plot = cloudPlot(chart, data, this.risk, () => this.shown, (risk) => this.drag(nearest(this.shown?.frontier ?? [], risk)));
    }
    if (this.plot.width !== chart.clientWidth && chart.clientWidth > 0) {
      this.plot.setSize({ width: chart.clientWidth, height: chart.clientHeight });
    }
    this.plot.setData(data);
    this.showAlong(frontier);
  }

  /** Keep the slider where it was along the line, whose number of points changes. */
  private place(frontier: Frontier): void {
    const last = Math.max(0, frontier.frontier.length - 1);
    const pick = frontier.picks[this.state.portfolios.pickIn(frontier.picks)];
    if (this.dragged) this.at = Math.round((Number(slider.value) / (Number(slider.max) || 1)) * last);
    else this.at = nearest(frontier.frontier, pick?.risk_bps ?? 0);
    slider.max = String(last);
    slider.value = String(this.at);
  }

  private drag(at: number): void {
    this.dragged = true;
    this.at = at;
    slider.value = String(at);
    if (!this.shown) return;
    this.plot?.setData(points(this.shown, at));
    this.showAlong(this.shown);
  }

  private showAlong(frontier: Frontier): void {
    const [risk, mean] = frontier.frontier[this.at] ?? [];
    const text = `risk ${short(risk)}, mean ${short(mean)} bps`;
    setText(byId("along-value"), text);
    slider.setAttribute("aria-valuetext", text);
    showBars(byId("along-weights"), frontier.assets, frontier.frontier_weights[this.at] ?? []);
  }
}

/** A sentence where the frontier waits or is late; nothing while all is well. */
function status(frontier: Frontier, nowMs: number, recorded: boolean): string {
  const ns = computedNs(frontier);
  const seconds = ns === null ? null : nowMs / 1e3 - ns / 1e9;
  const old = ns === null ? "there was none yet" : recorded ? `from ${moment(ns)}` : `${age(Math.max(0, seconds ?? 0))} old`;
  if (frontier.state === "WAITING") {
    return `WAITING: ${frontier.reason ?? ""}${ns === null ? "" : `; the last good frontier is ${old}`}`;
  }
  const late = (LATE_PERIODS * frontier.period_ns) / 1e9 + LATE_S;
  return !recorded && seconds !== null && seconds > late ? `nothing new: the frontier is ${old}` : "";
}

