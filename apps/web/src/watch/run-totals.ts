/** Totals of the whole run, from its report. */

export interface RunTotals {
  readonly wallSeconds: number;
  readonly imagesPerSecond: number;
}

/** @param report as UTF-8 JSON, as `--report` writes it */
export function totalsOf(report: Uint8Array): RunTotals {
  const { wallSeconds, imagesPerSecond } = JSON.parse(new TextDecoder().decode(report)) as RunTotals;
  return { wallSeconds, imagesPerSecond };
}
