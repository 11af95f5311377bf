/** The text of `--help`. */
import type { Options } from './option.ts';

export function helpText(usage: string, summary: string, table: Options): string {
  const rows = Object.entries(table).map(([name, option]) => {
    const { description, fallback, defaultText, isOperand = false } = option;
    const value = defaultText ?? fallback;
    return {
      flag: flagOf(name, option),
      text: value === undefined || value === false || isOperand ? description : `${description} (default ${value})`,
    };
  });
  const width = Math.max(...rows.map(({ flag }) => flag.length)) + 2;
  const lines = rows.map(
    ({ flag, text }) => `  ${flag.padEnd(width)}${wrap(text, 100 - width).join(`\n${' '.repeat(width + 2)}`)}`,
  );
  return `${usage}\n\n${summary}\n\n${lines.join('\n')}\n`;
}

/** Such as `--batch N`, or `FILE…` for operands. */
function flagOf(name: string, { placeholder, isOperand = false }: Options[string]): string {
  if (placeholder === undefined) return `--${name}`;
  return isOperand ? placeholder : `--${name} ${placeholder}`;
}

function wrap(text: string, width: number): string[] {
  const lines: string[] = [''];
  for (const word of text.split(' ')) {
    const line = lines.at(-1)!;
    if (line.length + word.length + 1 > width && line !== '') lines.push(word);
    else lines[lines.length - 1] = line === '' ? word : `${line} ${word}`;
  }
  return lines;
}
