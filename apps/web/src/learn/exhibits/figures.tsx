/** Named numbers. */
import type { Figures } from '@lockstep/lesson';
import { Figure } from '../../look/controls.tsx';

export function FiguresView({ exhibit }: { readonly exhibit: Figures }) {
  return (
    <dl class="lesson-figures">
      {exhibit.figures.map(({ label, value }) => (
        <Figure key={label} label={label} value={value} />
      ))}
    </dl>
  );
}
