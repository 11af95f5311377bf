/** Values as characters: shades, levels of a line, lengths of bars. */

const shades = [' ', '░', '▒', '▓', '█'];
const levels = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const eighths = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];

/** Index of the value among `count` equal parts of the range; values outside count as the first or last part. */
function partOf(value: number, low: number, high: number, count: number): number {
  const part = high > low ? Math.floor(((value - low) / (high - low)) * count) : 0;
  return Math.max(0, Math.min(count - 1, part));
}

export function shadeOf(value: number, low: number, high: number): string {
  return shades[partOf(value, low, high, shades.length)]!;
}

/** The character for one point of a curve; a blank if the value is not finite. */
export function levelText(value: number, low: number, high: number): string {
  return Number.isFinite(value) ? levels[partOf(value, low, high, levels.length)]! : ' ';
}

/** A bar of this length in characters, to an eighth. */
export function barText(length: number): string {
  const whole = Math.floor(length + 1 / 16);
  return '█'.repeat(whole) + eighths[Math.max(0, Math.round((length - whole) * 8)) % 8]!;
}
