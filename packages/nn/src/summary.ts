/** Formats a model as a text table, like Keras's `model.summary()`. */
import { formatShape } from '@lockstep/tensor';
import { layerShapes, type Model } from './model.ts';
import { parameterLayout, totalSize } from './parameters.ts';

/** Returns a table of layers, output shapes of one sample and parameter counts, as lines of text. */
export function summary(model: Model): string {
  const shapes = layerShapes(model);
  const layout = parameterLayout(model);
  const rows = model.layers.map(({ type }, index) => {
    const count = totalSize(layout.filter(({ layer }) => layer === index));
    return [`${index} ${type}`, formatShape(shapes[index + 1]!), grouped(count)] as const;
  });
  const table = [['layer', 'output shape', 'parameters'], ['input', formatShape(model.input), ''], ...rows] as const;
  const widths = [0, 1, 2].map((column) => Math.max(...table.map((row) => row[column]!.length)));
  const line = (row: readonly string[]): string =>
    `${row[0]!.padEnd(widths[0]!)}   ${row[1]!.padEnd(widths[1]!)}   ${row[2]!.padStart(widths[2]!)}`.trimEnd();
  const rule = (mark: string): string => mark.repeat(widths[0]! + widths[1]! + widths[2]! + 6);
  const total = totalSize(layout);
  return [
    `Model: ${model.name}`,
    rule('─'),
    line(table[0]),
    rule('═'),
    ...table.slice(1).map(line),
    rule('─'),
    `Total: ${grouped(total)} parameters (${bytesText(total * 4)})`,
  ].join('\n');
}

/** Formats a count as `101,770`, independent of the locale. */
function grouped(count: number): string {
  return String(count).replace(/\B(?=(\d{3})+$)/g, ',');
}

function bytesText(bytes: number): string {
  const units = ['bytes', 'KiB', 'MiB', 'GiB'];
  let [value, unit] = [bytes, 0];
  while (value >= 1024 && unit < units.length - 1) [value, unit] = [value / 1024, unit + 1];
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}
