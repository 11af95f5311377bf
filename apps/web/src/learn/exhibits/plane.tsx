/** A section of the plane: a field of shades with points, arrows and a path over it. */
import type { Plane } from '@lockstep/lesson';
import { useEffect, useRef } from 'preact/hooks';
import { paintShades } from './shade.ts';

/** Side of the drawing, in its own units. */
const side = 400;

export function PlaneView({ exhibit }: { readonly exhibit: Plane }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const { field, caption, points = [], arrows = [], path = [] } = exhibit;
  useEffect(() => (field ? paintShades(canvas.current!, field) : undefined), [field]);
  const place = (x: number, y: number): readonly [number, number] => [
    (side * (x - exhibit.x[0])) / (exhibit.x[1] - exhibit.x[0]),
    (side * (exhibit.y[1] - y)) / (exhibit.y[1] - exhibit.y[0]),
  ];
  const label = [caption, ...points.map((point) => point.label)].filter((text) => text !== '').join('; ');
  const radius = points.length > 20 ? 4 : 9;
  return (
    <div class="plane" role="img" aria-label={label}>
      {field && <canvas ref={canvas} width={field.columns} height={field.rows} />}
      <svg viewBox={`0 0 ${side} ${side}`} aria-hidden="true" focusable="false">
        <Axes origin={place(0, 0)} />
        <polyline class="path" points={path.map(([x, y]) => place(x, y).join()).join(' ')} />
        {path.map(([x, y], step) => (
          <Dot
            key={step}
            at={place(x, y)}
            name={dotName(step, path.length)}
            radius={dotName(step, path.length) === 'step' ? 2.5 : 6}
          />
        ))}
        {arrows.map(({ x, y, label: name }) => (
          <Arrow key={name} from={place(0, 0)} to={place(x, y)} name={name} />
        ))}
        {points.map(({ x, y, isOn }) => (
          <Dot key={`${x} ${y}`} at={place(x, y)} name={isOn ? 'on' : 'off'} radius={radius} />
        ))}
      </svg>
    </div>
  );
}

function dotName(step: number, steps: number): 'start' | 'end' | 'step' {
  if (step === 0) return 'start';
  return step === steps - 1 ? 'end' : 'step';
}

interface DotProps {
  readonly at: readonly [number, number];
  readonly name: string;
  readonly radius: number;
}

function Dot({ at: [x, y], name, radius }: DotProps) {
  return <circle class={`dot dot-${name}`} cx={x} cy={y} r={radius} />;
}

function Axes({ origin: [x, y] }: { readonly origin: readonly [number, number] }) {
  return <path class="axes" d={`M0 ${y}H${side}M${x} 0V${side}`} />;
}

interface ArrowProps {
  readonly from: readonly [number, number];
  readonly to: readonly [number, number];
  readonly name: string;
}

function Arrow({ from: [fromX, fromY], to: [x, y], name }: ArrowProps) {
  const angle = Math.atan2(y - fromY, x - fromX);
  const wing = (turn: number): string => `${x - 14 * Math.cos(angle + turn)} ${y - 14 * Math.sin(angle + turn)}`;
  return (
    <g class={`arrow arrow-${name}`}>
      <path d={`M${fromX} ${fromY}L${x} ${y}M${wing(0.4)}L${x} ${y}L${wing(-0.4)}`} />
      <text x={x + 12 * Math.cos(angle)} y={y + 12 * Math.sin(angle)}>
        {name}
      </text>
    </g>
  );
}
