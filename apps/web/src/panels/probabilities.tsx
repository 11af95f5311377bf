/** The probability of each class as a bar from 0 to 100 %. Of many classes, only the most likely ones are shown. */
import { percent, whole } from '../look/format.ts';
import { outputName } from '../look/output-name.ts';
import type { Run } from '../watch/run-store.ts';

interface ProbabilitiesProps {
  readonly run: Run | undefined;
  /** One probability per class; undefined until the model has predicted a sample. */
  readonly probabilities: readonly number[] | undefined;
}

const mostBars = 10;

export function Probabilities({ run, probabilities }: ProbabilitiesProps) {
  const classes = run?.outputs ?? mostBars;
  const of = (index: number): number => probabilities?.[index] ?? 0;
  const all = Array.from({ length: classes }, (_, index) => index);
  const likeliest = all.toSorted((left, right) => of(right) - of(left));
  const shown = classes > mostBars ? likeliest.slice(0, mostBars) : all;
  const best = probabilities && likeliest[0]!;
  const others = classes - shown.length;
  const otherSum = likeliest.slice(mostBars).reduce((sum, index) => sum + of(index), 0);
  return (
    <>
      <ol class="probabilities" aria-label="Probability of each class">
        {shown.map((index) => (
          <Bar
            key={index}
            name={outputName(run, index)}
            probability={probabilities && of(index)}
            isBest={index === best}
          />
        ))}
        {others > 0 && (
          <Bar key="others" name={`${whole(others)} others`} probability={probabilities && otherSum} isBest={false} />
        )}
      </ol>
      <p class="sr-only" role="status">
        {best === undefined ? '' : `Looks like ${outputName(run, best)}, ${percent(of(best), 0)}`}
      </p>
    </>
  );
}

interface BarProps {
  readonly name: string;
  readonly probability: number | undefined;
  readonly isBest: boolean;
}

function Bar({ name, probability, isBest }: BarProps) {
  return (
    <li class={isBest ? 'best' : ''}>
      <bdi class="probability-name" title={name}>
        {name}
      </bdi>
      <svg class="bar" aria-hidden="true" focusable="false">
        <rect class="bar-fill" width={`${(100 * (probability ?? 0)).toFixed(2)}%`} height="100%" />
      </svg>
      <span class="probability">{probability === undefined ? '–' : percent(probability, 0)}</span>
    </li>
  );
}
