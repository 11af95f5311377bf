/** Formats numbers, times and failures for people. */
import { decimals, errorMessage, measured, significant, thousands } from '@lockstep/data/shown';

export { decimals, durationText, measured, percent, plural, significant, thousands } from '@lockstep/data/shown';

export function lossText(loss: number): string {
  return isLossFinite(loss) ? decimals(loss) : '∞';
}

/** Perplexity of a mean loss per token: the number of equally likely tokens that is as hard to guess from. */
export function perplexityText(loss: number): string {
  const perplexity = Math.exp(loss);
  return Number.isFinite(perplexity) && isLossFinite(loss) ? measured(perplexity) : '∞';
}

/** Whether the loss is finite: messages carry the largest number in place of infinity and NaN. */
export function isLossFinite(loss: number): boolean {
  return Math.abs(loss) < Number.MAX_VALUE;
}

/** Formats to three digits: 0.42 -> "0.42", 12.3 -> "12.3", 250 -> "250". */
export function millisecondsText(ms: number): string {
  if (ms < 10) return ms.toFixed(2);
  return ms < 100 ? ms.toFixed(1) : thousands(ms);
}

/** Formats the first values: "12.5, 3, 0.7, …". */
export function valuesText(values: ArrayLike<number>, most: number, digits?: number): string {
  const shown = Array.from({ length: Math.min(values.length, most) }, (_, index) =>
    significant(values[index]!, digits),
  );
  return (values.length > most ? [...shown, '…'] : shown).join(', ');
}

/** Returns the name of a class or of a target value; its number if there were too many names to send. */
export function outputName(run: { readonly names?: readonly string[] } | undefined, index: number): string {
  return run?.names?.[index] ?? `${index}`;
}

export function capitalized(text: string): string {
  return `${text[0]!.toUpperCase()}${text.slice(1)}`;
}

/** Says why a part of the page is missing. Browsers report an import without an answer as a TypeError, each in its own words. */
export function importFailure(error: unknown): string {
  return error instanceof TypeError ? 'the server of this page does not answer' : errorMessage(error);
}
