/** The ten digits as strokes, on a canvas of 100 x 100. */
import type { Point, Stroke } from '../src/draw/digit-image.ts';

/** Side of the canvas. */
export const canvas = 100;

/** Returns points on an arc of an ellipse around (x, y). Angles are in degrees: 0 is right, 90 is down. */
function arc(x: number, y: number, radiusX: number, radiusY: number, from: number, to: number): Point[] {
  const count = Math.max(2, Math.ceil(Math.abs(to - from) / 10));
  return Array.from({ length: count + 1 }, (_, index) => {
    const angle = ((from + ((to - from) * index) / count) * Math.PI) / 180;
    return { x: x + radiusX * Math.cos(angle), y: y + radiusY * Math.sin(angle) };
  });
}

const at = (x: number, y: number): Point => ({ x, y });

export const digits: readonly (readonly Stroke[])[] = [
  [arc(50, 50, 22, 32, -90, 270)],
  [[at(53, 17), at(49, 50), at(46, 84)]],
  [[...arc(50, 34, 20, 17, -165, 50), at(42, 68), at(29, 82), at(50, 79), at(74, 82)]],
  [[...arc(47, 33, 19, 16, -150, 85), ...arc(47, 66, 22, 18, -85, 140)]],
  [
    [at(33, 18), at(29, 48), at(50, 50), at(70, 46)],
    [at(66, 18), at(63, 50), at(60, 84)],
  ],
  [[at(68, 19), at(38, 20), at(35, 46), ...arc(47, 64, 21, 20, -110, 140)]],
  [[at(60, 15), at(44, 33), at(35, 56), ...arc(50, 67, 16, 16, 200, -170)]],
  [[at(28, 22), at(50, 20), at(72, 20), at(60, 46), at(48, 84)]],
  [[...arc(50, 33, 15, 15, -60, -270), ...arc(50, 66, 18, 18, -90, 270), ...arc(50, 33, 15, 15, 90, -60)]],
  [[...arc(50, 36, 18, 17, -20, -350), at(67, 40), at(63, 62), at(56, 85)]],
];
