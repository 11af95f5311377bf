/** The top errors of the last evaluation: of classes those that the model was most sure of, of values the largest. */
import { floatsFrom } from '@lockstep/protocol';
import { percent, significant } from '../look/format.ts';
import { outputName } from '../look/output-name.ts';
import type { Evaluation, Run } from '../watch/run-store.ts';
import { Card } from './card.tsx';
import { SampleView } from './sample-view.tsx';

interface TopErrorsProps {
  readonly evaluation: Evaluation | undefined;
  readonly run: Run | undefined;
}

export function TopErrors({ evaluation, run }: TopErrorsProps) {
  const isValues = run?.targetType === 'values';
  return (
    <Card name="top-errors" title="Top errors" aside={isValues ? 'value → prediction' : 'label → prediction'}>
      {evaluation && run ? (
        <ol class="top-errors">
          {isValues ? (
            <ValueErrors evaluation={evaluation} run={run} />
          ) : (
            <ClassErrors evaluation={evaluation} run={run} />
          )}
        </ol>
      ) : (
        <p class="empty">Comes with the first evaluation.</p>
      )}
    </Card>
  );
}

interface ErrorsProps {
  readonly evaluation: Evaluation;
  readonly run: Run;
}

function ClassErrors({ evaluation, run }: ErrorsProps) {
  return (
    <>
      {evaluation.topErrors.map(({ sample, label, predicted, probability }, index) => {
        const [name, predictedName] = [outputName(run, label), outputName(run, predicted)];
        return (
          <li key={index}>
            <SampleView run={run} sample={sample} label={`a sample of ${name}, classified as ${predictedName}`} />
            <span class="top-error-text">
              {name} <span aria-hidden="true">→</span>
              <span class="sr-only">classified as</span> <b>{predictedName}</b>
              <small>{percent(probability, 0)}</small>
            </span>
          </li>
        );
      })}
    </>
  );
}

/** Values of a sample that are shown; the first of many. */
const mostValues = 4;

function ValueErrors({ evaluation, run }: ErrorsProps) {
  return (
    <>
      {evaluation.farthest.map(({ sample, target, predicted }, index) => {
        const [values, predictions] = [floatsFrom(target), floatsFrom(predicted)];
        return (
          <li key={index}>
            <SampleView run={run} sample={sample} label="a sample whose values were missed" />
            {Array.from(values.subarray(0, mostValues), (value, at) => (
              <span key={at} class="top-error-text">
                {values.length > 1 && `${outputName(run, at)} `}
                {significant(value)} <span aria-hidden="true">→</span>
                <span class="sr-only">predicted as</span> <b>{significant(predictions[at]!)}</b>
              </span>
            ))}
          </li>
        );
      })}
    </>
  );
}
