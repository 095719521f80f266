/** The correlations of a universe's assets as a map of colours; the cell under the pointer, or the keys, is told. */

import { byId, color, setText } from "../dom";
import type { Frontier } from "../records";

const LABEL_PX = 10; // a cell must be so high for its asset to be named beside it
const LEAST_PX = 150; // of the map, which grows until its assets can be named, but not
const MOST_PX = 420; // beyond this
const canvas = byId<HTMLCanvasElement>("correlation");
const said = byId("correlation-cell");

export class CorrelationPanel {
  private shown: Frontier | null = null;
  private cell: [row: number, column: number] | null = null;

  constructor() {
    canvas.addEventListener("pointermove", (event) => this.point(event));
    canvas.addEventListener("pointerleave", () => this.look(null));
    canvas.addEventListener("blur", () => this.look(null));
    canvas.addEventListener("keydown", (event) => this.step(event));
  }

  render(frontier: Frontier): void {
    this.shown = frontier;
    const wanted = frontier.correlation.length * (LABEL_PX + 0.5);
    canvas.style.height = `${Math.max(LEAST_PX, Math.min(MOST_PX, wanted))}px`;
    this.draw();
    this.tell();
  }

  private get labels(): number {
    const longest = Math.max(0, ...(this.shown?.assets ?? []).map((asset) => asset.length));
    const n = this.shown?.correlation.length ?? 1;
    return canvas.clientHeight / n >= LABEL_PX ? Math.min(90, longest * 6 + 6) : 0;
  }

  private draw(): void {
    const frontier = this.shown;
    const size = canvas.clientWidth;
    const n = frontier?.correlation.length ?? 0;
    if (!frontier || n === 0 || size === 0) return;
    const height = canvas.clientHeight;
    canvas.width = size * devicePixelRatio;
    canvas.height = height * devicePixelRatio;
    const ctx = canvas.getContext("2d");
    if (!ctx) return;
    ctx.scale(devicePixelRatio, devicePixelRatio);
    const [left, width, step] = [this.labels, (size - this.labels) / n, height / n];
    ctx.font = "10px system-ui";
    ctx.textBaseline = "middle";
    frontier.correlation.forEach((row, i) => {
      ctx.globalAlpha = 1;
      ctx.fillStyle = color("muted");
      if (step >= LABEL_PX) ctx.fillText(frontier.assets[i] ?? "", 0, (i + 0.5) * step, left - 6);
      row.forEach((value, j) => {
        ctx.globalAlpha = Math.min(1, Math.abs(value));
        ctx.fillStyle = color(value < 0 ? "down" : "accent");
        ctx.fillRect(left + j * width, i * step, width - 1, step - 1);
      });
    });
    this.outline(ctx, left, width, step);
  }

  private outline(ctx: CanvasRenderingContext2D, left: number, width: number, step: number): void {
    if (!this.cell) return;
    ctx.globalAlpha = 1;
    ctx.strokeStyle = color("text");
    ctx.strokeRect(left + this.cell[1] * width + 0.5, this.cell[0] * step + 0.5, width - 2, step - 2);
  }

  private point(event: PointerEvent): void {
    const n = this.shown?.correlation.length ?? 0;
    const column = Math.floor(((event.offsetX - this.labels) / (canvas.clientWidth - this.labels)) * n);
    const row = Math.floor((event.offsetY / canvas.clientHeight) * n);
    this.look(column >= 0 && column < n && row >= 0 && row < n ? [row, column] : null);
  }

  private step(event: KeyboardEvent): void {
    const steps: Record<string, [number, number]> = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    const step = steps[event.key];
    if (!step) return;
    event.preventDefault(); // the page is not to scroll
    const last = (this.shown?.correlation.length ?? 1) - 1;
    const [row, column] = this.cell ?? [0, -step[1]];
    const within = (at: number) => Math.max(0, Math.min(last, at));
    this.look([within(row + step[0]), within(column + step[1])]);
  }

  private look(cell: [number, number] | null): void {
    this.cell = cell;
    this.draw();
    this.tell();
  }

  private tell(): void {
    const [row, column] = this.cell ?? [];
    const value = row === undefined || column === undefined ? undefined : this.shown?.correlation[row]?.[column];
    if (value === undefined) return setText(said, "blue: they move together; red: against each other");
    setText(said, `${this.shown?.assets[row ?? 0]} with ${this.shown?.assets[column ?? 0]}: ${value.toFixed(2)}`);
  }
}
