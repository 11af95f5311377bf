/** The parts of the view of a live network: what they say, and the chapters that explain them. */

export interface InsidePart {
  /** In addresses. */
  readonly id: 'weights' | 'sample' | 'activations' | 'gradient' | 'step';
  readonly title: string;
  /** Terms as in chapters. */
  readonly text: string;
  /** Ids of chapters. */
  readonly chapters: readonly string[];
}

export const insideParts: readonly InsidePart[] = [
  {
    id: 'weights',
    title: 'Weights',
    text: 'What the first layer multiplies its inputs by. A run begins with random numbers, and each step changes them a little. Where the inputs are pixels, strokes appear that help to tell one class from another.',
    chapters: ['dot-product', 'neuron', 'layers', 'initialization', 'training-loop'],
  },
  {
    id: 'sample',
    title: 'One sample',
    text: 'All that follows is computed in this tab for this one sample, with the [[weight|weights]] above. Its label, or its value where targets are numbers, decides the [[loss]], not what the network says.',
    chapters: [],
  },
  {
    id: 'activations',
    title: 'Activations, layer by layer',
    text: 'The [[forward pass]]: each layer reads what the one before gives. A neuron that [[relu]] sets to 0 takes no part in the answer. The last layer gives a [[logit]] for each class, which the [[softmax]] makes probabilities; where targets are numbers, it gives the prediction.',
    chapters: ['forward-pass', 'activations', 'softmax', 'matrix-product'],
  },
  {
    id: 'gradient',
    title: 'The gradient, layer by layer',
    text: 'For each [[parameter]] how much the [[loss]] rises when it grows a little, from one pass back through the layers. In a [[dense layer]] the weights of a pixel without ink, and those of a [[neuron]] at 0, have a [[gradient]] of 0: this sample does not change them.',
    chapters: ['back-propagation', 'cross-entropy'],
  },
  {
    id: 'step',
    title: 'One step in slow motion',
    text: "What a worker and the coordinator do in every step, with the numbers of this sample. The weights stand still meanwhile, and the run's are not changed.",
    chapters: ['training-loop', 'gradient-descent', 'optimizers', 'mini-batches', 'many-workers'],
  },
];

/** The parts that show a chapter's subject in a live network. */
export function partsOfChapter(chapterId: string): readonly InsidePart[] {
  return insideParts.filter(({ chapters }) => chapters.includes(chapterId));
}
