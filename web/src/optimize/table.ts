/** The rows as a table that a click on a column sorts. */

import { element } from "../dom";
import { AXES, MEASURES, minute, periods, ranked, type Row, sorted, type Value, withInterval } from "./rows";

const MOST = 500; // rows that are drawn: a browser lays out no ten thousand each two seconds

interface Column {
  name: string;
  by: (row: Row) => Value;
  fill: (row: Row, cell: HTMLElement) => void;
  numbers: boolean;
}

const majority: Column = {
  name: "% majority", by: (row) => row.percent_majority?.value ?? null, numbers: true,
  fill: (row, cell) => cell.append(row.percent_majority?.value.toFixed(1) ?? ""),
};
const examples: Column = {
  name: "n", by: (row) => row.n, numbers: true, fill: (row, cell) => cell.append(row.n.toLocaleString("en")),
};
const judgedBy: Column[] = [
  { name: "periods", by: (row) => row.folds, numbers: true, fill: (row, cell) => cell.append(periods(row)) },
  { name: "judged from", by: (row) => row.start_ns, numbers: true, fill: (row, cell) => cell.append(minute(row.start_ns)) },
  { name: "to", by: (row) => row.end_ns, numbers: true, fill: (row, cell) => cell.append(minute(row.end_ns)) },
];
const taken: Column = {
  name: "seconds", by: (row) => row.seconds, numbers: true, fill: (row, cell) => cell.append(row.seconds.toFixed(1)),
};
const axes = AXES.map((axis): Column => ({
  name: axis.name, by: axis.order, numbers: false, fill: (row, cell) => cell.append(axis.text(row)),
}));
const measures = MEASURES.map((measure): Column => ({
  name: measure.name, by: (row) => ranked(measure, row), numbers: true,
  fill: (row, cell) => {
    const [text, interval] = withInterval(measure, row);
    cell.append(text, element("small", "", interval && ` ${interval}`));
  },
}));
const COLUMNS = [...axes, examples, ...judgedBy, ...measures.slice(0, 1), majority, ...measures.slice(1), taken];

export class Table {
  private sort: { column: Column; descending: boolean } | null = null;
  private readonly heads: HTMLElement[];
  private readonly body = element("tbody");
  private rows: Row[] = [];

  constructor(host: HTMLElement, private readonly shown: (drawn: number) => void) {
    this.heads = COLUMNS.map((column) => this.head(column));
    const line = element("tr");
    line.append(...this.heads);
    const top = element("thead");
    top.append(line);
    const root = element("table");
    root.append(top, this.body);
    host.append(root);
  }

  render(rows: Row[]): void {
    this.rows = rows;
    const { sort } = this;
    const ordered = sort ? sorted(rows, sort.column.by, sort.descending) : rows; // else the best first, as they came
    const drawn = ordered.slice(0, MOST);
    this.body.replaceChildren(...drawn.map(line));
    for (const [i, head] of this.heads.entries()) {
      const mine = sort !== null && sort.column === COLUMNS[i];
      head.setAttribute("aria-sort", mine ? (sort.descending ? "descending" : "ascending") : "none");
    }
    this.shown(drawn.length);
  }

  private head(column: Column): HTMLElement {
    const head = element("th", column.numbers ? "" : "text");
    const button = element("button", "", column.name) as HTMLButtonElement;
    button.type = "button";
    button.onclick = () => {
      const again = this.sort?.column === column;
      this.sort = { column, descending: again ? !this.sort?.descending : column.numbers }; // of numbers the large first
      this.render(this.rows);
    };
    head.append(button);
    return head;
  }
}

function line(row: Row): HTMLElement {
  const root = element("tr", row.why ? "failed" : "");
  root.dataset["id"] = row.id;
  root.title = [row.why, ...row.warned].filter(Boolean).join("\n");
  if (row.why) {
    root.append(...axes.map((column) => filled(column, row)));
    const why = element("td", "text", row.why) as HTMLTableCellElement;
    why.colSpan = COLUMNS.length - axes.length;
    root.append(why);
  } else {
    root.append(...COLUMNS.map((column) => filled(column, row)));
  }
  return root;
}

function filled(column: Column, row: Row): HTMLElement {
  const cell = element("td", column.numbers ? "" : "text");
  column.fill(row, cell);
  return cell;
}
