/** The parts of the view of a live network: their texts, and the chapters that explain them. */

export interface InsidePart {
  /** Name in addresses. */
  readonly id: 'weights' | 'sample' | 'activations' | 'gradient';
  readonly title: string;
  /** Marks terms as chapters do. */
  readonly text: string;
  /** Ids of the chapters that explain the part. */
  readonly chapters: readonly string[];
}

export const insideParts: readonly InsidePart[] = [
  {
    id: 'weights',
    title: 'Weights',
    text: 'The first layer multiplies its inputs by these numbers. A run begins with random weights, and each step changes them a little. If the inputs are pixels, strokes appear that help to tell one class from another.',
    chapters: ['dot-product', 'neuron', 'layers', 'initialization', 'training-loop'],
  },
  {
    id: 'sample',
    title: 'One sample',
    text: 'This tab computes all that follows for this one sample, with the [[weight|weights]] above. The [[loss]] compares the answer of the network with the label of the sample, or with its value if targets are numbers.',
    chapters: [],
  },
  {
    id: 'activations',
    title: 'Activations, layer by layer',
    text: 'The [[forward pass]]: each layer reads the output of the layer before it. A neuron that [[relu]] sets to 0 takes no part in the answer. The last layer gives a [[logit]] for each class, and the [[softmax]] turns logits into probabilities; if targets are numbers, the last layer gives the prediction.',
    chapters: ['forward-pass', 'activations', 'softmax', 'matrix-product'],
  },
  {
    id: 'gradient',
    title: 'The gradient, layer by layer',
    text: 'The gradient says for each [[parameter]] how much the [[loss]] rises when the parameter grows a little. One pass back through the layers computes it. In a [[dense layer]] the weights of a pixel without ink, and those of a [[neuron]] at 0, have a [[gradient]] of 0: this sample does not change them.',
    chapters: ['back-propagation', 'cross-entropy'],
  },
];

/** Returns the parts that show a chapter's subject in a live network. */
export function partsOfChapter(chapterId: string): readonly InsidePart[] {
  return insideParts.filter(({ chapters }) => chapters.includes(chapterId));
}
