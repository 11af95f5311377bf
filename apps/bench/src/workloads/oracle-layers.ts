/** The layers of the reference nets, each with its gradient, for one sample in double precision. */

export interface BackwardPass {
  readonly input: Float64Array;
  /** Gradient of the loss at the output. */
  readonly upstream: Float64Array;
  readonly parameters: readonly Float64Array[];
  /** Sums to which the parameter gradients are added. */
  readonly sums: readonly Float64Array[];
  /** False for the first layer, whose input is data. */
  readonly hasInputGradient: boolean;
}

export interface OracleLayer {
  /** Shapes of the layer's parameters. */
  readonly shapes: readonly (readonly number[])[];
  forward(input: Float64Array, parameters: readonly Float64Array[]): Float64Array;
  /** Returns the gradient at the input, or zeros if there is none. */
  backward(pass: BackwardPass): Float64Array;
}

/** input [inputs] @ weight [inputs, outputs] + bias [outputs]. */
export function dense(inputs: number, outputs: number): OracleLayer {
  return {
    shapes: [[inputs, outputs], [outputs]],
    forward(input, [weight, bias]) {
      const output = bias!.slice();
      for (let row = 0; row < inputs; row++) {
        const value = input[row]!;
        if (value === 0) continue;
        for (let column = 0; column < outputs; column++) output[column]! += value * weight![row * outputs + column]!;
      }
      return output;
    },
    backward({ input, upstream, parameters: [weight], sums: [weightSums, biasSums], hasInputGradient }) {
      const gradient = new Float64Array(inputs);
      for (let row = 0; row < inputs; row++) {
        const value = input[row]!;
        if (value === 0 && !hasInputGradient) continue;
        for (let column = 0; column < outputs; column++) {
          const index = row * outputs + column;
          weightSums![index]! += value * upstream[column]!;
          gradient[row]! += weight![index]! * upstream[column]!;
        }
      }
      for (let column = 0; column < outputs; column++) biasSums![column]! += upstream[column]!;
      return gradient;
    },
  };
}

export const relu: OracleLayer = {
  shapes: [],
  forward: (input) => input.map((value) => Math.max(0, value)),
  backward: ({ input, upstream }) => upstream.map((slope, index) => (input[index]! > 0 ? slope : 0)),
};

/** A square image in a vector [size, size, channels]. */
interface Image {
  readonly size: number;
  readonly channels: number;
}

/** Image with padding @ kernels [kernel, kernel, channels, outputs] + bias [outputs]: an image of the same size. */
export function convolution({ size, channels }: Image, outputs: number, kernel: number): OracleLayer {
  const taps = [...tapsOf(size, kernel)].map(({ from, tap, to }) => ({
    from: from * channels,
    tap: tap * channels * outputs,
    to: to * outputs,
  }));
  return {
    shapes: [[kernel, kernel, channels, outputs], [outputs]],
    forward(input, [weight, bias]) {
      const output = Float64Array.from({ length: size * size * outputs }, (_, index) => bias![index % outputs]!);
      for (const { from, tap, to } of taps) {
        for (let channel = 0; channel < channels; channel++) {
          const value = input[from + channel]!;
          if (value === 0) continue;
          const row = tap + channel * outputs;
          for (let index = 0; index < outputs; index++) output[to + index]! += value * weight![row + index]!;
        }
      }
      return output;
    },
    backward({ input, upstream, parameters: [weight], sums: [weightSums, biasSums], hasInputGradient }) {
      const gradient = new Float64Array(input.length);
      for (const [index, slope] of upstream.entries()) biasSums![index % outputs]! += slope;
      for (const { from, tap, to } of taps) {
        for (let channel = 0; channel < channels; channel++) {
          const value = input[from + channel]!;
          if (value === 0 && !hasInputGradient) continue;
          const row = tap + channel * outputs;
          for (let index = 0; index < outputs; index++) {
            const slope = upstream[to + index]!;
            weightSums![row + index]! += value * slope;
            gradient[from + channel]! += weight![row + index]! * slope;
          }
        }
      }
      return gradient;
    },
  };
}

/** Each pair of a pixel and a kernel position that covers it: indices of input pixel, kernel position, output pixel. */
function* tapsOf(size: number, kernel: number) {
  const padding = (kernel - 1) / 2;
  for (let to = 0; to < size * size; to++) {
    for (let tap = 0; tap < kernel * kernel; tap++) {
      const row = Math.floor(to / size) + Math.floor(tap / kernel) - padding;
      const column = (to % size) + (tap % kernel) - padding;
      if (row >= 0 && row < size && column >= 0 && column < size) yield { from: row * size + column, tap, to };
    }
  }
}

/** The maximum of each 2 x 2 window: an image [size / 2, size / 2, channels]. The first of equals gets the gradient. */
export function maxPool({ size, channels }: Image): OracleLayer {
  const half = size / 2;
  /** Index of the maximum in the window of output `index`. */
  const argmax = (input: Float64Array, index: number): number => {
    const channel = index % channels;
    const place = (index - channel) / channels;
    const corner = (2 * Math.floor(place / half) * size + 2 * (place % half)) * channels + channel;
    const window = [corner, corner + channels, corner + size * channels, corner + (size + 1) * channels];
    return window.reduce((best, at) => (input[at]! > input[best]! ? at : best));
  };
  return {
    shapes: [],
    forward: (input) =>
      Float64Array.from({ length: half * half * channels }, (_, index) => input[argmax(input, index)]!),
    backward({ input, upstream }) {
      const gradient = new Float64Array(input.length);
      for (const [index, slope] of upstream.entries()) gradient[argmax(input, index)]! += slope;
      return gradient;
    },
  };
}
