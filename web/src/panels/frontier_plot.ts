/** The chart of risk and mean: the cloud, the line, the picks with their doubt, and where one has dragged to. */

import uPlot from "uplot";
import { color } from "../dom";
import { short } from "../format";
import type { Frontier } from "../records";

export const PICK_COLORS = ["pick-1", "pick-2", "pick-3", "pick-4", "pick-5", "pick-6", "pick-7"];

type Shown = () => Frontier | null;

/** Make the chart, whose axis says what the `risk` is; `onDrag` gets that under a pointer that is pressed. */
export function cloudPlot(host: HTMLElement, data: uPlot.AlignedData, risk: string, shown: Shown, onDrag: (risk: number) => void): uPlot {
  const dots = (name: string, size: number): uPlot.Series => ({
    paths: () => null, stroke: color(name), points: { show: true, size, fill: color(name), width: 0 },
  });
  const axis: uPlot.Axis = { stroke: color("muted"), grid: { stroke: color("line"), width: 1 }, ticks: { show: false }, font: "10px system-ui", labelFont: "10px system-ui", labelSize: 16 };
  const values = (_u: uPlot, ticks: number[]) => ticks.map((tick) => short(tick));
  const plot = new uPlot({
    width: host.clientWidth || 400, height: host.clientHeight || 240, legend: { show: false },
    cursor: { points: { show: false }, x: false, y: false, drag: { x: false, y: false } },
    hooks: { draw: [(u) => drawDoubt(u, shown())] },
    scales: { x: { time: false } },
    axes: [{ ...axis, label: risk, size: 24, values }, { ...axis, label: "mean log return, bps a period", size: 50, values }],
    series: [
      {}, dots("cloud", 2.5),
      { stroke: color("accent"), width: 2, spanGaps: true, points: { show: false } },
      ...PICK_COLORS.map((name) => dots(name, 11)),
      { ...dots("text", 0), points: { show: true, size: 14, fill: "transparent", stroke: color("text"), width: 2 } },
    ],
  }, data, host);
  followPointer(plot, onDrag);
  return plot;
}

function followPointer(plot: uPlot, onDrag: (risk: number) => void): void {
  const over = plot.over;
  const move = (event: PointerEvent) => onDrag(plot.posToVal(event.offsetX, "x"));
  over.style.touchAction = "pan-y"; // a finger may still scroll the page
  over.addEventListener("pointerdown", (event) => {
    over.setPointerCapture(event.pointerId);
    move(event);
  });
  over.addEventListener("pointermove", (event) => {
    if (event.buttons > 0) move(event);
  });
}

/** Of the means that bootstraps gave, 95 % lie on a pick's upright line; it is cut where the chart ends. */
function drawDoubt(u: uPlot, frontier: Frontier | null): void {
  const { ctx, bbox } = u;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  Object.values(frontier?.picks ?? {}).forEach((pick, i) => {
    if (pick.mean_low_bps == null || pick.mean_high_bps == null) return;
    const x = u.valToPos(pick.risk_bps, "x", true);
    ctx.strokeStyle = color(PICK_COLORS[i] ?? "muted");
    ctx.lineWidth = 1.5 * devicePixelRatio;
    ctx.beginPath();
    ctx.moveTo(x, u.valToPos(pick.mean_low_bps, "y", true));
    ctx.lineTo(x, u.valToPos(pick.mean_high_bps, "y", true));
    ctx.stroke();
  });
  ctx.restore();
}

/** The chart's points: risk, cloud, line, one series for each pick, and the point of the line that is looked at. */
export function points(frontier: Frontier, at: number): uPlot.AlignedData {
  const table = (pairs: [number, number][]): uPlot.AlignedData => {
    const sorted = [...pairs].sort((a, b) => a[0] - b[0]);
    return [sorted.map((pair) => pair[0]), sorted.map((pair) => pair[1])];
  };
  const chosen = Object.values(frontier.picks);
  const single = PICK_COLORS.map((_, i) => {
    const pick = chosen[i];
    return table(pick ? [[pick.risk_bps, pick.mean_bps]] : []);
  });
  const looked = frontier.frontier[at];
  return uPlot.join([table(frontier.cloud), table(frontier.frontier), ...single, table(looked ? [looked] : [])]);
}
