/** The loop nest over the elements of a map, as short as its strides allow. */
import type { Shape } from '../shape.ts';

/** A loop, with each view's stride along it. */
export interface Axis {
  length: number;
  strides: readonly number[];
}

/** Returns the axes, outermost first, without those of size 1; merges neighbors that are contiguous in every view. */
export function joinAxes(shape: Shape, views: readonly (readonly number[])[]): Axis[] {
  const axes: Axis[] = [];
  shape.forEach((length, position) => {
    if (length === 1) return;
    const strides = views.map((view) => view[position]!);
    const previous = axes.at(-1);
    if (previous?.strides.every((stride, which) => stride === strides[which]! * length)) {
      previous.length *= length;
      previous.strides = strides;
    } else {
      axes.push({ length, strides });
    }
  });
  return axes;
}
