/** Small grayscale pictures side by side, each with a caption. */
import type { Pictures } from '@lockstep/lesson';
import { useEffect, useRef } from 'preact/hooks';
import { paintShades } from './shade.ts';

export function PicturesView({ exhibit: { rows, columns, pictures } }: { readonly exhibit: Pictures }) {
  return (
    <ul class="lesson-pictures">
      {pictures.map(({ values, text }, index) => (
        <li key={index}>
          <Picture rows={rows} columns={columns} values={values} text={text} />
          <span aria-hidden="true">{text}</span>
        </li>
      ))}
    </ul>
  );
}

type PictureProps = Pick<Pictures, 'rows' | 'columns'> & Pictures['pictures'][number];

function Picture({ rows, columns, values, text }: PictureProps) {
  const canvas = useRef<HTMLCanvasElement>(null);
  // The captions can change while the pictures stay the same.
  const content = values.join();
  useEffect(() => paintShades(canvas.current!, { rows, columns, values: [...values], low: 0, high: 1 }), [content]);
  return <canvas ref={canvas} class="shades" width={columns} height={rows} role="img" aria-label={text} />;
}
