/** Formats times and colors for the terminal. */
import pc from 'picocolors';

/** Passed as a value, so that tests can print without colors. */
export type Colors = Pick<typeof pc, 'bold' | 'cyan'>;

/**
 * Colors for a stream: only for terminals, unless NO_COLOR or FORCE_COLOR is set; picocolors also colors pipes under
 * CI.
 */
export function colorsFor(stream: { readonly isTTY?: boolean }, environment: NodeJS.ProcessEnv = process.env): Colors {
  const { NO_COLOR: noColor, FORCE_COLOR: forceColor, TERM: terminal } = environment;
  if (noColor) return pc.createColors(false);
  if (forceColor) return pc.createColors(forceColor !== '0');
  return pc.createColors(stream.isTTY === true && terminal !== 'dumb');
}

/** Minutes and seconds, or hours and minutes. */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  if (hours > 0) return `${hours} h ${minutes} min`;
  return `${minutes}:${String(whole % 60).padStart(2, '0')}`;
}
