/** The last evaluation: which classes are taken for which, and the images that the model was most sure of and wrong. */
import { floatsFrom } from '@lockstep/protocol';
import { percent, whole } from '../look/format.ts';
import type { Evaluation, Room } from '../watch/room.ts';
import { GreyImage } from './gray-image.tsx';

export function Confusion({ room }: { readonly room: Room }) {
  const evaluation = room.evaluation.value;
  return (
    <section class="card confusion-card" aria-labelledby="confusion-title">
      <header class="card-head">
        <h2 id="confusion-title">What is taken for what</h2>
        <p class="aside">{evaluation ? `test images, epoch ${evaluation.epoch}` : ''}</p>
      </header>
      {evaluation ? <Matrix evaluation={evaluation} /> : <p class="empty">Comes with the first evaluation.</p>}
    </section>
  );
}

function Matrix({ evaluation: { classes, confusion } }: { readonly evaluation: Evaluation }) {
  const counts = floatsFrom(confusion);
  const names = Array.from({ length: classes }, (_, index) => index);
  const count = (label: number, predicted: number): number => counts[label * classes + predicted]!;
  const totals = names.map((label) => names.reduce((sum, predicted) => sum + count(label, predicted), 0));
  const worst = Math.max(
    1,
    ...names.flatMap((label) => names.map((predicted) => (label === predicted ? 0 : count(label, predicted)))),
  );
  return (
    <div class="matrix-frame">
      <table class="matrix">
        <caption>Rows: what the image is. Columns: what the model reads.</caption>
        <thead>
          <tr>
            <td />
            {names.map((predicted) => (
              <th key={predicted} scope="col">
                {predicted}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {names.map((label) => (
            <tr key={label}>
              <th scope="row">{label}</th>
              {names.map((predicted) => {
                const value = count(label, predicted);
                const isRight = label === predicted;
                const heat = isRight ? value / Math.max(1, totals[label]!) : Math.sqrt(value / worst);
                return (
                  <td
                    key={predicted}
                    class={isRight ? 'right' : value === 0 ? 'none' : 'wrong'}
                    style={{ '--heat': heat.toFixed(3) }}
                    title={`${whole(value)} images of ${label} read as ${predicted}`}
                  >
                    {value === 0 ? '' : value}
                  </td>
                );
              })}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

export function TopErrors({ room }: { readonly room: Room }) {
  const evaluation = room.evaluation.value;
  return (
    <section class="card top-errors-card" aria-labelledby="top-errors-title">
      <header class="card-head">
        <h2 id="top-errors-title">Top errors</h2>
        <p class="aside">is → read as</p>
      </header>
      {evaluation ? (
        <ol class="top-errors">
          {evaluation.topErrors.map(({ image, label, predicted, probability }, index) => (
            <li key={index}>
              <GreyImage
                pixels={image}
                rows={evaluation.rows}
                columns={evaluation.columns}
                label={`a ${label}, read as ${predicted}`}
              />
              <span class="top-error-text">
                {label} <span aria-hidden="true">→</span>
                <span class="sr-only">read as</span> <b>{predicted}</b>
                <small>{percent(probability, 0)}</small>
              </span>
            </li>
          ))}
        </ol>
      ) : (
        <p class="empty">Comes with the first evaluation.</p>
      )}
    </section>
  );
}
