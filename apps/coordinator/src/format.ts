/** Times and colors as they are printed in the terminal. */
import type pc from 'picocolors';

/** As a value, so that tests and pipes can go without. */
export type Colors = Pick<typeof pc, 'bold' | 'cyan'>;

/** Minutes and seconds, or hours and minutes. */
export function duration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  if (hours > 0) return `${hours} h ${minutes} min`;
  return `${minutes}:${String(whole % 60).padStart(2, '0')}`;
}
