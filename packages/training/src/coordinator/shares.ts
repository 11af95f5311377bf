/** How a step's microbatches are shared among workers by their speed. */

/**
 * Cuts `microbatches` among workers in proportion to their rates: contiguous, in order, each share the difference of two
 * rounded running totals, so that the shares add up. A worker without a measured rate (0) counts as average.
 */
export function shares(microbatches: number, samplesPerMs: readonly number[]): number[] {
  const rates = knownRates(samplesPerMs);
  const total = rates.reduce((sum, rate) => sum + rate, 0);
  let running = 0;
  let taken = 0;
  return rates.map((rate) => {
    running += rate;
    const end = Math.round((microbatches * running) / total);
    const share = end - taken;
    taken = end;
    return share;
  });
}

function knownRates(samplesPerMs: readonly number[]): number[] {
  const measured = samplesPerMs.filter((rate) => rate > 0);
  const average = measured.length > 0 ? measured.reduce((sum, rate) => sum + rate, 0) / measured.length : 1;
  return samplesPerMs.map((rate) => (rate > 0 ? rate : average));
}

/** A cut may take 12.5 % longer than the finest one if that saves messages. */
const slack = 1.125;

/**
 * As `shares`, in units as large as `slack` allows: shares of nearly equal workers become equal and end where nodes of
 * the tree end. Every shard costs a gradient message, which is as long as that of the whole batch.
 */
export function coarseShares(microbatches: number, samplesPerMs: readonly number[]): number[] {
  const rates = knownRates(samplesPerMs);
  const slowest = (cut: readonly number[]): number => Math.max(...cut.map((share, index) => share / rates[index]!));
  const finest = shares(microbatches, rates);
  for (let unit = 2 ** Math.floor(Math.log2(microbatches)); unit > 1; unit /= 2) {
    let left = microbatches;
    const cut = shares(Math.ceil(microbatches / unit), rates).map((units) => {
      const share = Math.min(left, units * unit);
      left -= share;
      return share;
    });
    const usesAll = cut.every((share, worker) => share > 0 || finest[worker] === 0);
    if (usesAll && slowest(cut) <= slack * slowest(finest)) return cut;
  }
  return finest;
}
