/** Wiring: messages change the state at once; panels that changed are drawn once a frame. */

import "uplot/dist/uPlot.min.css";
import "./style.css";
import { CandlePanel } from "./panels/candles";
import { FeaturePanel } from "./panels/features";
import { FeedPanel } from "./panels/feeds";
import { FrontierPanel } from "./panels/frontier";
import { renderHeader, renderLink } from "./panels/header";
import { LadderPanel } from "./panels/ladder";
import { renderLatency } from "./panels/latency";
import { ReplayPanel } from "./panels/replay";
import { ScorePanel } from "./panels/score";
import { renderTrades } from "./panels/trades";
import { Client, counters } from "./protocol";
import { Player } from "./replay";
import { KEPT_SAMPLES, State } from "./state";
import { followTheme } from "./theme";

const state = new State();
const candles = new CandlePanel(state);
const ladder = new LadderPanel(state);
const features = new FeaturePanel(state);
const feeds = new FeedPanel(state);
const frontier = new FrontierPanel(state);
const score = new ScorePanel(state);
const player = new Player(state);
const replay = new ReplayPanel(state, player);
let connected = false;

function frame(nowMs: number): void {
  const dirty = state.dirty;
  if (dirty.size > 0) {
    state.dirty = new Set();
    counters.rendered += 1;
    if (dirty.has("header")) renderHeader(state, Date.now());
    if (dirty.has("candles")) candles.render();
    if (dirty.has("ladder") || dirty.has("header")) ladder.render();
    if (dirty.has("trades") || dirty.has("header")) renderTrades(state);
    if (dirty.has("features") && !features.render(nowMs)) state.dirty.add("features");
    if (dirty.has("frontier")) frontier.render();
    if (dirty.has("score")) score.render();
    if (dirty.has("latency")) renderLatency(state);
    if (dirty.has("feeds")) feeds.render(Date.now());
    if (dirty.has("replay")) replay.render();
  }
  requestAnimationFrame(frame);
}

const client = new Client(
  `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws`,
  [
    { channels: ["status", "tops", "latency", "feeds", "frontiers", "audits"], history: 1 },
    { channels: ["features"], history: KEPT_SAMPLES },
    { channels: ["dead-letters"], history: 5 },
    { channels: ["trades"], history: 30 },
    { channels: ["candles", "predictions", "scores"], history: 600 },
  ],
  (welcome) => {
    state.welcome(welcome);
    void player.look(connected);
  },
  (message) => state.take(message, Date.now()),
  (link) => {
    connected = link.connected;
    renderLink(link);
  },
);

function retheme(): void {
  for (const panel of [candles, ladder, frontier, score]) panel.theme();
  for (const panel of ["candles", "ladder", "features", "score"] as const) state.dirty.add(panel);
}

followTheme(retheme);
setInterval(() => {
  state.dirty.add("header").add("feeds"); // silence changes states and ages too
  frontier.tell(Date.now());
}, 500);
setInterval(() => void player.look(connected), 1000); // others may pause it, and it ends by itself
for (const ms of [2000, 8000]) setTimeout(() => state.selectBusiest(), ms); // some venues begin late

Object.assign(window, { __quicksilver: counters });
client.connect();
requestAnimationFrame(frame);
