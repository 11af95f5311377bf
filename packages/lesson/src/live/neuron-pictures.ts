/** Pictures of the outputs of hidden neurons over the plane. */
import type { NeuronLayer, Neurons } from '../exhibit.ts';
import { planeGrid } from '../plane-grid.ts';
import { planeExtent } from './live-data.ts';
import type { LiveNetwork } from './live-network.ts';

const { rows, columns, centers } = planeGrid(planeExtent, planeExtent, 16);
/** Maximum number of neurons shown per layer. */
const mostShown = 16;

export function neuronPictures(network: LiveNetwork): Neurons {
  const { width } = network.settings;
  return {
    kind: 'neurons',
    caption: 'Output of each hidden neuron over the plane',
    rows,
    columns,
    layers: network.hidden(centers).map((values) => layerOf(values, width)),
  };
}

/** @param values [cells, neurons] */
function layerOf(values: Float32Array, neurons: number): NeuronLayer {
  const [shown, cells] = [Math.min(neurons, mostShown), rows * columns];
  const pictures = new Float32Array(shown * cells);
  for (let neuron = 0; neuron < shown; neuron++) {
    const own = Float32Array.from({ length: cells }, (_, cell) => values[cell * neurons + neuron]!);
    const largest = own.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    pictures.set(
      own.map((value) => (largest > 0 ? value / largest : 0)),
      neuron * cells,
    );
  }
  return { neurons, values: pictures };
}

/** Counts the neurons that give 0 everywhere, in pictures [shown, cells]. */
export function silentNeurons(values: Float32Array, cells: number): number {
  let silent = 0;
  for (let at = 0; at < values.length; at += cells) {
    if (values.subarray(at, at + cells).every((value) => value === 0)) silent++;
  }
  return silent;
}
