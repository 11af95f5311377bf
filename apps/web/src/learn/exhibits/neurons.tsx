/** The output of each hidden neuron over the plane, one row of pictures per layer. */
import { type Neurons, silentNeurons } from '@lockstep/lesson';
import { Tiles } from '../../inside/tiles.tsx';

export function NeuronsView({ exhibit }: { readonly exhibit: Neurons }) {
  const { rows, columns, layers, caption } = exhibit;
  const cells = rows * columns;
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a keyboard must reach what scrolls.
    <section class="neurons scroll" tabIndex={0} aria-label={caption}>
      {layers.map(({ neurons, values }, layer) => {
        const shown = values.length / cells;
        const title = `Layer ${layer + 1}`;
        const text = shown < neurons ? `${title}, ${shown} of ${neurons}` : title;
        const label = `${text}: ${silentNeurons(values, cells)} of ${shown} neurons give 0 everywhere`;
        return (
          <div key={layer} class="neuron-layer">
            <p class="aside">{text}</p>
            <Tiles {...{ rows, columns, values, label }} count={shown} scale={1} height={104} largestCell={3} gap={2} />
          </div>
        );
      })}
    </section>
  );
}
