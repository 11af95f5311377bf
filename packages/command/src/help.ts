/** Tables of options as text: `--help`, and the page of all options in the documentation. */
import { groups, type Option, type Options, text } from './option.ts';

export function helpText(usage: string, summary: string, table: Options): string {
  const flags = Object.entries(table).map(([name, option]) => flagOf(name, option).length);
  const width = Math.max(...flags) + 2;
  const sections = grouped(table).map(([title, options]) => {
    const lines = options.map(([name, option]) => {
      const shown = defaultOf(option);
      const meaning = shown === '' ? meaningOf(option) : `${meaningOf(option)} (default ${shown})`;
      return `  ${flagOf(name, option).padEnd(width)}${wrap(meaning, 100 - width).join(`\n${' '.repeat(width + 2)}`)}\n`;
    });
    return `${title === undefined ? '' : `${title}:\n`}${lines.join('')}`;
  });
  return `${usage}\n\n${summary}\n\n${sections.join('\n')}`;
}

/** A Markdown table for each group: names, meanings, expected values, and defaults. */
export function optionTables(table: Options): string {
  const sections = grouped(table).map(([title, options]) => {
    const rows = options.map(([name, option]) => {
      const { kind } = option;
      const expected =
        kind.placeholder === undefined || kind.schema === text.schema ? '' : (kind.spelling ?? kind.expected);
      const cells = [`\`${flagOf(name, option)}\``, option.help, expected, defaultOf(option)];
      return `|${cells.map((cell) => ` ${cell}`.replaceAll('|', '\\|').trimEnd()).join(' |')} |`;
    });
    return [
      ...(title === undefined ? [] : [`### ${title}\n`]),
      '| option | meaning | expected | default |',
      '|---|---|---|---|',
      ...rows,
    ].join('\n');
  });
  return `${sections.join('\n\n')}\n`;
}

/** The options by group title, in the order of the groups; undefined for options without a group. */
function grouped(table: Options): [title: string | undefined, options: [string, Option][]][] {
  const titles = [undefined, ...Object.values(groups)];
  const titleOf = ({ group }: Option): string | undefined => group && groups[group];
  const sections = titles.map((title): [string | undefined, [string, Option][]] => [
    title,
    Object.entries(table).filter(([, option]) => titleOf(option) === title),
  ]);
  return sections.filter(([, options]) => options.length > 0);
}

/** Such as `--batch N`, or `FILE…` for operands. */
function flagOf(name: string, { kind, placeholder = kind.placeholder, isOperand = false }: Option): string {
  if (placeholder === undefined) return `--${name}`;
  return isOperand ? placeholder : `--${name} ${placeholder}`;
}

function meaningOf({ help, kind }: Option): string {
  return kind.names ? `${help}: ${kind.names.join(', ')}` : help;
}

/** The default as shown to users; empty if there is none. */
export function defaultOf({ default: value, defaultText, isOperand = false }: Option): string {
  return isOperand ? '' : (defaultText ?? String(value ?? ''));
}

function wrap(paragraph: string, width: number): string[] {
  const lines: string[] = [''];
  for (const word of paragraph.split(' ')) {
    const line = lines.at(-1)!;
    if (line.length + word.length + 1 > width && line !== '') lines.push(word);
    else lines[lines.length - 1] = line === '' ? word : `${line} ${word}`;
  }
  return lines;
}
