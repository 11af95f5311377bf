/** The loop nest over the elements of a map, as short as its strides allow. */
import type { Shape } from '../shape.ts';

/** A loop, with the stride of every view along it. */
export interface Axis {
  length: number;
  strides: readonly number[];
}

/** Axes from the outermost on, without those of size 1; neighbors that every view crosses evenly are one. */
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
