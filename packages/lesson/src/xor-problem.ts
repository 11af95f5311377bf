/** XOR as data: four points, of which the two with exactly one 1 are on. */
import type { Plane } from './exhibit.ts';
import { planeGrid } from './plane-grid.ts';

/** [4, 2] */
export const xorInputs = [0, 0, 0, 1, 1, 0, 1, 1];
/** [4, 1] */
export const xorTargets = [0, 1, 1, 0];

const [from, to] = [-0.5, 1.5];
export const xorGrid = planeGrid([from, to], [from, to], 41);

/** Shows the four points over the values of a function at the centers of `xorGrid`. */
export function xorPlane(caption: string, values: Float32Array, low: number, high: number): Plane {
  const { rows, columns } = xorGrid;
  return {
    kind: 'plane',
    caption,
    x: [from, to],
    y: [from, to],
    field: { rows, columns, values: [...values], low, high },
    points: xorTargets.map((target, index) => {
      const [x, y] = [xorInputs[2 * index]!, xorInputs[2 * index + 1]!];
      return { x, y, label: `${x} XOR ${y} = ${target}`, isOn: target === 1 };
    }),
  };
}
