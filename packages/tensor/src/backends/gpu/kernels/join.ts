/** The text of a kernel that puts stretches of arrays one after another. */
import { cellLength, type Dialect, type KernelSource } from '../device.ts';
import { flatThreads, isWhole, lanes, plus } from './cells.ts';

export interface JoinPart {
  /** Index of the array, and where the stretch begins in it. */
  readonly input: number;
  readonly start: number;
  readonly length: number;
}

export function joinKernel(parts: readonly JoinPart[], inputs: number, dialect: Dialect): KernelSource {
  const total = parts.reduce((sum, { length }) => sum + length, 0);
  const lines: string[] = [];
  const single: string[] = [];
  let offset = 0;
  for (const { input, start, length } of parts) {
    const end = offset + length;
    const shift = start - offset;
    if (isWhole(offset) && isWhole(start) && length >= cellLength) {
      // Cells that lie in this part as a whole.
      const last = Math.floor(end / cellLength);
      const cell = dialect.cell(input, plus('this.thread.x', shift / cellLength));
      lines.push(`if (this.thread.x >= ${offset / cellLength} && this.thread.x < ${last}) {`);
      lines.push(`const c${lines.length} = ${cell};`);
      const name = `c${lines.length - 1}`;
      lines.push(`return [${lanes.map((lane) => `${name}[${lane}]`).join(', ')}];`, '}');
    }
    for (const lane of lanes) {
      const element = plus('4 * this.thread.x', lane);
      const value = dialect.value(input, plus(element, shift));
      single.push(`if (${element} >= ${offset} && ${element} < ${end}) { v${lane} = ${value}; }`);
    }
    offset = end;
  }
  const body = [...lines, ...lanes.map((lane) => `let v${lane} = 0.0;`), ...single, 'return [v0, v1, v2, v3];'];
  return { inputs, length: total, threads: flatThreads(total), body: body.join('\n') };
}
