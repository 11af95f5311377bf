/** The top errors of the last evaluation: the images that the model was most sure of and wrong. */
import { percent } from '../look/format.ts';
import type { Evaluation } from '../watch/run-store.ts';
import { Card } from './card.tsx';
import { GrayImage } from './gray-image.tsx';

export function TopErrors({ evaluation }: { readonly evaluation: Evaluation | undefined }) {
  return (
    <Card name="top-errors" title="Top errors" aside="label → prediction">
      {evaluation ? (
        <ol class="top-errors">
          {evaluation.topErrors.map(({ image, label, predicted, probability }, index) => (
            <li key={index}>
              <GrayImage
                pixels={image}
                rows={evaluation.rows}
                columns={evaluation.columns}
                label={`a ${label}, classified as ${predicted}`}
              />
              <span class="top-error-text">
                {label} <span aria-hidden="true">→</span>
                <span class="sr-only">classified as</span> <b>{predicted}</b>
                <small>{percent(probability, 0)}</small>
              </span>
            </li>
          ))}
        </ol>
      ) : (
        <p class="empty">Comes with the first evaluation.</p>
      )}
    </Card>
  );
}
