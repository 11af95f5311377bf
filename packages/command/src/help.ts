/** The text of `--help`, from the same table that reads the command line. */
import type { Options } from './option.ts';

export function helpText(usage: string, summary: string, table: Options): string {
  const rows = Object.entries(table).map(([name, { placeholder, description, fallback }]) => {
    const isShown = fallback !== undefined && fallback !== false;
    return {
      flag: `--${name}${placeholder === undefined ? '' : ` ${placeholder}`}`,
      text: isShown ? `${description} (default ${String(fallback)})` : description,
    };
  });
  const width = Math.max(...rows.map(({ flag }) => flag.length)) + 2;
  const lines = rows.map(
    ({ flag, text }) => `  ${flag.padEnd(width)}${wrap(text, 100 - width).join(`\n${' '.repeat(width + 2)}`)}`,
  );
  return `${usage}\n\n${summary}\n\n${lines.join('\n')}\n`;
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
