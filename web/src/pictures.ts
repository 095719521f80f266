/** The page of pictures: one predictor at a time, as `quicksilver plot` has drawn it; new ones come by themselves. */

import "./style.css";
import { byId, Choice, element, fetchJson } from "./dom";

interface Picture { kind: string; url: string; written_ns: number }
interface Named { name: string; pictures: Picture[] }

const LOOK_MS = 10_000;
const EMPTY = "No pictures yet: quicksilver plot CONFIG.toml FROM draws them into DATA/pictures.";
/** In the order in which they are shown; kinds that are not named here come last. */
const CAPTIONS: Record<string, [title: string, sentence: string]> = {
  "boundaries": ["Decision boundaries", "what it says for each pair of its first two inputs, and what really came"],
  "score": ["Score over time", "was it better than doing without it all along, or by one lucky week?"],
  "live-score": ["Live score over time", "how each version has done since it was put to work"],
  "calibration": ["Calibration", "of what it gave 40 %, did 40 % come?"],
  "confusion": ["Confusion", "what it said beside what came"],
  "importance": ["Feature importance", "how much worse it predicts without each input"],
  "learning-curve": ["Learning curve", "would more data help?"],
};
const ORDER = Object.keys(CAPTIONS);

const host = byId("pictures");
const names = new Choice<string>(byId("names"), (name) => name);
let shown = "";

function place(kind: string): number {
  const found = ORDER.indexOf(kind);
  return found < 0 ? ORDER.length : found;
}

/** Files of several predictors first: they give the overview. */
function ordered(all: Named[]): Named[] {
  const single = (one: Named): number => (one.name.endsWith(".toml") ? 0 : 1);
  return [...all].sort((a, b) => single(a) - single(b) || a.name.localeCompare(b.name));
}

function figure(name: string, picture: Picture): HTMLElement {
  const root = element("figure");
  const [title, sentence] = CAPTIONS[picture.kind] ?? [picture.kind, ""];
  const caption = element("figcaption");
  const drawn = new Date(picture.written_ns / 1e6).toISOString().slice(0, 16).replace("T", " ");
  caption.append(element("strong", "", title), `${sentence ? `: ${sentence}` : ""} `, element("small", "", `drawn ${drawn} UTC`));
  const link = element("a") as HTMLAnchorElement;
  const image = element("img") as HTMLImageElement;
  link.href = image.src = `${picture.url}?drawn=${picture.written_ns}`; // a picture that is drawn anew is another one
  image.alt = `${title} of ${name}`;
  link.append(image);
  root.append(caption, link);
  return root;
}

function render(all: Named[]): void {
  const key = JSON.stringify([all, location.hash]);
  if (key === shown) return;
  shown = key;
  const chosen = all.find((one) => `#${encodeURIComponent(one.name)}` === location.hash) ?? all[0];
  names.render(all.map((one) => one.name), chosen?.name ?? "", (name) => {
    location.hash = encodeURIComponent(name);
  });
  const pictures = [...(chosen?.pictures ?? [])].sort((a, b) => place(a.kind) - place(b.kind));
  host.replaceChildren(...(chosen ? pictures.map((one) => figure(chosen.name, one)) : [element("p", "empty", EMPTY)]));
}

async function look(): Promise<void> {
  render(ordered(await fetchJson<Named[]>("/api/pictures")));
}

const theme = localStorage.getItem("theme");
if (theme) document.documentElement.dataset["theme"] = theme;
addEventListener("hashchange", () => void look());
setInterval(() => void look(), LOOK_MS);
void look();
