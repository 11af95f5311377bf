/** The terms in a run's panels, each explained in a sentence or two. */

export const runGlossary = {
  'training loss':
    'How wrong the network is on the samples that it learns from, as one number: for classes the cross-entropy, for values the mean squared error. Shown is a mean over recent steps.',
  'training accuracy':
    'The part of the samples just learned from that the network reads right, as a mean over recent steps. It is measured before each step changes the network.',
  'test accuracy':
    'The part of the test samples that the network reads right. It never learns from them, so this is what it will do with new ones.',
  'training RMSE':
    'The root of the mean squared error on the samples that the network learns from: about how far off it is, in the unit of the values.',
  'test RMSE':
    'The root of the mean squared error on samples that the network never learns from, in the unit of the values. R² is the part of their variance that it explains.',
  step: 'One change of all parameters: gradients of one mini-batch, cut into shards, come from the workers and are added in a fixed order; the optimizer does the rest.',
  'confusion matrix':
    'A row for each true class, a column for what the network reads: right answers lie on the diagonal, and a dark place beside it is a pair that it takes for one another.',
} as const satisfies Readonly<Record<string, string>>;

export type RunTerm = keyof typeof runGlossary;
