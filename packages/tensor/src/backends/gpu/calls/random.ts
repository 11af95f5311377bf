/** Random values: worked out here, because kernels of gpu.js have no 32-bit whole numbers, and then uploaded. */
import type { RandomCall } from '../../../backend.ts';
import { philox, unitFloat } from '../../../philox.ts';
import { Value } from '../pieces.ts';
import type { Runner, Stretch } from '../runner.ts';
import { firstOf, type Own, type Step } from './step.ts';

/** The whole part of a float32, cut to the unsigned 32-bit integers. */
function whole(value: number): number {
  return Math.trunc(Math.min(Math.max(Number.isNaN(value) ? 0 : value, 0), 0xffffffff)) >>> 0;
}

/** Values that were uploaded; what a kernel computed cannot be read without waiting. */
function uploaded({ pieces, offset, length }: Stretch, role: string): Float32Array {
  const values = new Float32Array(length);
  for (const { value, start, ...piece } of pieces.read(offset, length)) {
    if (value.host === undefined) throw new Error(`random: ${role} must be uploaded, not computed, on this backend`);
    values.set(value.host.subarray(start, start + piece.length), piece.offset - offset);
  }
  return values;
}

export function prepareRandom(runner: Runner, call: RandomCall, own: Own): Step {
  const { rows, columns, stream } = call;
  const key = firstOf(own(call.key), 4);
  const samples = firstOf(own(call.samples), rows);
  const output = firstOf(own(call.output), rows * columns);
  const words = new Uint32Array(4);
  return () => {
    const parts = Array.from(uploaded(key, 'the seed and step'), whole) as [number, number, number, number];
    const [seed, step] = [(parts[0] | (parts[1] << 16)) >>> 0, (parts[2] | (parts[3] << 16)) >>> 0];
    const names = uploaded(samples, 'the samples');
    const values = new Float32Array(rows * columns);
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        if (column % 4 === 0) philox(words, [column / 4, whole(names[row]!), step, 0], [seed, stream]);
        values[row * columns + column] = unitFloat(words[column % 4]!);
      }
    }
    output.pieces.write(output.offset, output.length, Value.onHost(runner.device, values));
  };
}
