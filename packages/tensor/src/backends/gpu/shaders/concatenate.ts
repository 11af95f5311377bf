/** Concatenates stretches of arrays. */
import { cellLength, type DeviceStretch, type KernelSource } from '../device.ts';
import { elementAt, flatKernel, isWhole, lanes, plus, returnCell, type Source, type Target } from './code.ts';

export type Part = Source & Pick<DeviceStretch, 'length'>;

export function concatenateShader(parts: readonly Part[], inputs: number, { dialect }: Target): KernelSource {
  const cells: string[] = [];
  const values: string[] = [];
  let start = 0;
  parts.forEach(({ input, offset, length }, part) => {
    const end = start + length;
    const shift = offset - start;
    if (isWhole(start) && isWhole(offset) && length >= cellLength) {
      // Cells that lie entirely in this part.
      const cell = dialect.cell(input, plus('this.thread.x', shift / cellLength));
      cells.push(
        `if (this.thread.x >= ${start / cellLength} && this.thread.x < ${Math.floor(end / cellLength)}) {`,
        `const c${part} = ${cell};`,
        returnCell(lanes.map((lane) => `c${part}[${lane}]`)),
        '}',
      );
    }
    for (const lane of lanes) {
      const element = elementAt(lane);
      const value = dialect.value(input, plus(element, shift));
      values.push(`if (${element} >= ${start} && ${element} < ${end}) { v${lane} = ${value}; }`);
    }
    start = end;
  });
  const zeros = lanes.map((lane) => `let v${lane} = 0.0;`);
  return flatKernel(inputs, start, [...cells, ...zeros, ...values, returnCell(['v0', 'v1', 'v2', 'v3'])]);
}
