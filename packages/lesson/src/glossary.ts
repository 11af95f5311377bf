/** The terms that chapters use, each explained in a sentence or two. */

export const glossary: Readonly<Record<string, string>> = {
  'activation function':
    'The nonlinear function at the end of a neuron, such as relu or tanh. Without it, layers in a row equal one layer.',
  Adam: 'An optimizer that gives each parameter a step size of its own, from the running means of its gradients and of their squares.',
  attention:
    'The part of a Transformer in which every token takes information from the tokens whose keys match its query best.',
  'attention head': 'One of several attentions side by side, each with queries, keys and values of its own.',
  'back-propagation':
    'The computation of all gradients in one pass from the loss back to the inputs, by the chain rule.',
  batch: 'Samples that go through the network together, as rows of one matrix.',
  bias: "A number that is added to a neuron's weighted sum. It moves the place where the neuron switches.",
  broadcasting:
    'The rule that repeats axes of size 1, and missing ones, so that tensors of different shapes can be combined.',
  'chain rule': 'The derivative of a function of a function is the product of their derivatives.',
  'cosine similarity':
    'The dot product of two vectors divided by the product of their lengths: 1 in the same direction, 0 at right angles, -1 in opposite directions.',
  'cross-entropy':
    'The loss of a classifier: minus the logarithm of the probability that it gives to the correct class.',
  'dead neuron': 'A neuron with relu whose sum is negative for every sample. Its gradient is 0, so no step changes it.',
  'dense layer': 'A layer in which every neuron reads every input.',
  'dot product': 'The sum of the products of two vectors, number by number.',
  embedding: 'A vector of its own for each token, learned like any other parameter.',
  epoch: 'One pass over all training samples.',
  'forward pass': 'The computation from the input to the output, layer by layer.',
  gradient:
    'For every parameter, the slope of the loss: how fast the loss rises if the parameter grows. Together the slopes point uphill.',
  'gradient descent': 'Repeated steps against the gradient, each as long as the learning rate times the slope.',
  'hidden layer': 'A layer between input and output, whose values are not visible from outside the network.',
  key: 'The vector of a token in attention that offers an answer: it is compared with the queries of other tokens.',
  'learning rate': 'The length of a step for a given slope.',
  logit: 'The score of a class before the softmax. It can be any number.',
  loss: 'A number that measures how wrong the network is. Training makes it smaller.',
  magnitude: 'The length of a vector: the square root of the sum of the squares of its numbers.',
  mask: 'The rule that a token takes nothing from later tokens: their attention weights are 0.',
  'matrix product': 'A table of dot products: each row of the first matrix with each column of the second.',
  'mean squared error':
    'The loss if targets are numbers: the mean of the squared differences between predictions and targets.',
  'mini-batch': 'The samples of one step, drawn at random: few enough to be quick, enough for a good direction.',
  momentum:
    'An optimizer whose steps keep most of the previous step, so steps in a steady direction grow and noise cancels out.',
  neuron: 'The dot product of inputs and weights, plus a bias, passed through an activation function.',
  overfitting: 'Memorizing the training samples: accuracy rises on them but not on others.',
  parameter: 'A number that training changes: a weight or a bias.',
  query: 'The vector of a token in attention that asks a question: it is compared with the keys of other tokens.',
  'reduction tree': 'The fixed order in which the gradients of a step are added: pairs first, then pairs of pairs.',
  relu: 'The larger of x and 0: positive sums pass, negative ones become 0.',
  seed: 'The number from which all random numbers of a run follow. The same seed gives the same run.',
  shape: "The sizes of a tensor's axes, such as [64, 784].",
  softmax:
    'The function that turns logits into probabilities: e to the power of each logit, divided by the sum of these powers.',
  'stochastic gradient descent':
    'Gradient descent in which each step sees the gradient of a mini-batch instead of all samples. SGD for short.',
  temperature:
    'A number that divides the logits before the softmax: a low one makes probabilities sharp, a high one flat.',
  tensor: 'A grid of numbers with any number of axes: a scalar has none, a vector one, a matrix two.',
  token: 'A piece of a text with a number of its own: a letter, a word, or a part of a word.',
  transformer: 'A network for sequences, in which attention and dense layers alternate.',
  'vanishing gradient': 'A gradient that shrinks in every layer on its way back, until the first layers learn nothing.',
  value: 'The vector of a token in attention that other tokens take, in proportion to their attention weights.',
  vector: 'A list of numbers; also the arrow from the origin to the place with these coordinates.',
  weight: 'The number that an input of a neuron is multiplied by.',
};

/** A part of a paragraph: plain text, or a glossary term in the form that the paragraph uses. */
export interface TextPart {
  readonly text: string;
  readonly term?: string;
}

/** Splits a paragraph at `[[term]]` and `[[term|other form]]`. @throws Error if the glossary has no such term */
export function partsOf(paragraph: string): TextPart[] {
  return paragraph.split(/(\[\[[^\]]+\]\])/).flatMap((part): TextPart[] => {
    const marked = /^\[\[([^|]+)\|?(.*)\]\]$/.exec(part);
    if (!marked) return part === '' ? [] : [{ text: part }];
    const [, name = '', form = ''] = marked;
    return [{ text: form || name, term: termNamed(name) }];
  });
}

/** Finds a term, which may be capitalized at the beginning of a sentence. */
function termNamed(name: string): string {
  const term = [name, name[0]!.toLowerCase() + name.slice(1)].find((each) => Object.hasOwn(glossary, each));
  if (term === undefined) throw new Error(`lesson: expected a term of the glossary, got ${name}`);
  return term;
}
