/** Values as characters: shades, levels of a line, lengths of bars. */

const shades = [' ', '░', '▒', '▓', '█'];
const levels = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const eighths = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];

/** Which of `count` equal parts of the range a value lies in; values outside lie in the first or last. */
function partOf(value: number, low: number, high: number, count: number): number {
  const part = high > low ? Math.floor(((value - low) / (high - low)) * count) : 0;
  return Math.max(0, Math.min(count - 1, part));
}

export function shadeOf(value: number, low: number, high: number): string {
  return shades[partOf(value, low, high, shades.length)]!;
}

/** A place of a curve; a blank where the value is no number. */
export function levelText(value: number, low: number, high: number): string {
  return Number.isFinite(value) ? levels[partOf(value, low, high, levels.length)]! : ' ';
}

/** A bar as long as so many characters, to an eighth. */
export function barText(length: number): string {
  const whole = Math.floor(length + 1 / 16);
  return '█'.repeat(whole) + eighths[Math.max(0, Math.round((length - whole) * 8)) % 8]!;
}
