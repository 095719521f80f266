/** Features of a file's rows, whose names count seconds where a bar is one row. */

const SECOND_NS = 1e9;

/** Whether a return is over less time than lies between two rows: it would be that of a row, whatever its name says. */
export function withinRow(feature: string, rowNs: number): boolean {
  const seconds = /^return_(\d+)s_/.exec(feature)?.[1];
  return seconds !== undefined && Number(seconds) * SECOND_NS < rowNs;
}

/** The name to show of a feature; a volatility is one of so many bars, which are rows here (0: of a second each). */
export function shownName(feature: string, rowNs: number): string {
  const name = feature.replaceAll("_", " ").replace(/ bps$/, "");
  return rowNs > SECOND_NS ? name.replace(/^(volatility \d+)s$/, "$1 rows") : name;
}
