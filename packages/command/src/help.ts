/** Documents an option table: the text of `--help`, rows of a Markdown table. */
import type { Option, Options } from './option.ts';

export function helpText(usage: string, summary: string, table: Options): string {
  const rows = Object.entries(table).map(([name, option]) => {
    const value = defaultOf(option);
    return {
      flag: flagOf(name, option),
      text: value === undefined ? option.description : `${option.description} (default ${value})`,
    };
  });
  const width = Math.max(...rows.map(({ flag }) => flag.length)) + 2;
  const lines = rows.map(
    ({ flag, text }) => `  ${flag.padEnd(width)}${wrap(text, 100 - width).join(`\n${' '.repeat(width + 2)}`)}`,
  );
  return `${usage}\n\n${summary}\n\n${lines.join('\n')}\n`;
}

/** One row for each option, for a README's table of flag, meaning and default: "| `--batch N` | samples | 128 |". */
export function markdownRows(table: Options): string[] {
  return Object.entries(table).map(([name, option]) => {
    const cells = [`\`${flagOf(name, option)}\``, option.description, defaultOf(option) ?? ''];
    return `|${cells.map((cell) => ` ${cell}`.replaceAll('|', '\\|').trimEnd()).join(' |')} |`;
  });
}

/** Such as `--batch N`, or `--single` for a switch. */
function flagOf(name: string, { placeholder }: Option<unknown>): string {
  return placeholder === undefined ? `--${name}` : `--${name} ${placeholder}`;
}

/** The default as text; undefined where there is none to show. */
function defaultOf({ fallback, defaultText }: Option<unknown>): string | undefined {
  return defaultText ?? (fallback === undefined || fallback === false ? undefined : String(fallback));
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
