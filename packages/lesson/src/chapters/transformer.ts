/** A transformer of 4,192 parameters, which learns to write names. */
import {
  add,
  compile,
  crossEntropy,
  div,
  type HostBackend,
  indexSelect,
  matmul,
  mean,
  mul,
  normal,
  type Plan,
  permute,
  randomStream,
  relu,
  reshape,
  type Shape,
  sizeOf,
  softmax,
  sqrt,
  sum,
  type Tensor,
} from '@lockstep/tensor';
import { choice, count, defineChapter, range, type SettingsOf, seedControl } from '../chapter.ts';
import { bars, curves, decimal, figures, percent, thousands } from '../exhibit.ts';
import { countPairs, letterOf, lossOfPairs, nameEnd, names, nameTokens, tokensOfName } from '../names.ts';
import { gradientPlan, Trainer } from '../trainer.ts';
import { attentionMaps, meanOf, valuesOf } from '../values.ts';
import { attentionWeights } from './attention.ts';

/** Numbers of a token, attention heads, and tokens that the model reads at once. */
const [width, heads, places] = [16, 4, 16];
/** Size of the hidden layer. */
const hidden = 4 * width;
/** Names whose attention can be shown, and beginnings that the model continues. */
const [shownNames, beginnings] = [
  ['mariana', 'johanna', 'benedict', 'alexander'],
  ['none', 'a', 'ma', 'jo', 'chri'],
] as const;
/** Names written after each shown step, and steps between two results. */
const [written, showEvery] = [8, 25];
/** Number of bars. */
const likeliest = 8;
/** Standard deviation of the first weights. */
const deviation = 0.08;

/** Shapes of the parameters, in order: 4,192 numbers. */
const parameterShapes = {
  'token embedding': [nameTokens, width],
  'place embedding': [places, width],
  query: [width, width],
  key: [width, width],
  value: [width, width],
  'output of attention': [width, width],
  'hidden layer': [width, hidden],
  'output of the hidden layer': [hidden, width],
  logits: [width, nameTokens],
} as const satisfies Readonly<Record<string, Shape>>;
const shapes: readonly Shape[] = Object.values(parameterShapes);
const parameters = shapes.reduce((total, shape) => total + sizeOf(shape), 0);
/** Loss of giving every token the same probability. */
const guessing = Math.log(nameTokens);
/** Loss of predicting a letter from the one before by counting. */
const pairLoss = lossOfPairs(countPairs(names.map(tokensOfName), nameTokens), nameTokens);

/** The lines of `logitsOf` below, which a test compares with this file. */
export const blockLines = [
  { code: 'let x = scaled(add(indexSelect(tokenTable!, tokens), placeTable!));', note: 'a token and its place' },
  { code: 'x = add(x, attention(scaled(x), attentionMatrices, see));', note: 'tokens exchange values' },
  { code: 'x = add(x, matmul(relu(matmul(scaled(x), up!)), down!));', note: 'each token for itself' },
  { code: 'return matmul(x, last!);', note: 'logits of the next token' },
] as const;

const controls = {
  steps: count({ label: 'Steps', from: 100, to: 2000, fallback: 1000, step: 100 }),
  batch: count({ label: 'Names in a batch', from: 1, to: 16, fallback: 4 }),
  lr: range({ label: 'Learning rate', from: 0.0001, to: 0.1, fallback: 0.01, step: 0.05, scale: 'log' }),
  temperature: range({ label: 'Temperature of writing', from: 0.1, to: 2, fallback: 0.7, step: 0.1 }),
  beginning: choice('Names begin with', beginnings, 'none'),
  name: choice('Attention on', shownNames, 'mariana'),
  seed: seedControl,
};

type Settings = SettingsOf<typeof controls>;

export const transformer = defineChapter({
  id: 'transformer',
  title: 'A transformer that writes names',
  claim: '4,192 parameters and 1,000 steps are enough to write names that are not in the list of the training names.',
  text: [
    'A [[transformer]] predicts the next [[token]]. Here a token is a letter. Its [[embedding]] is added to the embedding of its place. [[Attention]] then lets every letter take information from the letters before it, and a [[dense layer]] with [[relu]] works on each letter for itself. Each part adds its result to its input. The last matrix gives a [[logit]] for each letter that may come next.',
    'To write, the model starts with the end of a name, draws a letter from its probabilities, appends it, and asks again. At first every letter is as likely as any other: a [[loss]] of ln 27. Counting pairs of letters in the list gives the loss of a model that sees only one letter. A transformer beats it, because it sees all earlier letters.',
    'GPT-2 and its successors run the same lines, with more layers, more heads and wider vectors. Trained on books instead of names, the same loop writes text.',
  ],
  controls,
  *run({ backend }, settings) {
    const start = valuesOf(backend, () =>
      normal(backend, [parameters], settings.seed, { standardDeviation: deviation }),
    );
    const schedule = { type: 'cosine', steps: settings.steps, minimum: 0 } as const;
    const trainer = new Trainer(backend, { type: 'adam', learningRate: settings.lr, schedule }, start);
    try {
      yield* train(backend, trainer, settings);
    } finally {
      trainer.dispose();
    }
  },
  show: ({ places: at, losses, texts, likely, settings, weights }) => [
    {
      kind: 'texts',
      caption: `Names that the model writes; * is one of the ${thousands(names.length)} in the list`,
      samples: texts.map((text) => ({ step: text.step, text: text.names.map(marked).join(' ') })),
    },
    figures({
      parameters: thousands(parameters),
      'loss of the last 100 steps': decimal(meanOf(losses.slice(-4))),
      'loss of guessing, ln 27': decimal(guessing),
      'loss of counting pairs of letters': decimal(pairLoss),
      'newest names not in the list': `${texts.at(-1)!.names.filter(isNew).length} of ${written}`,
    }),
    curves(`Loss, the mean of ${showEvery} steps`, 'step', at, {
      loss: losses,
      'guessing, ln 27': at.map(() => guessing),
      'counting pairs': at.map(() => pairLoss),
    }),
    {
      kind: 'attention',
      caption: `Attention of the ${heads} heads on ${settings.name}: each row is a letter that looks at those before it`,
      tokens: tokensOfName(settings.name).slice(0, -1).map(letterOf),
      maps: weights.map((own, head) => ({ label: `head ${head + 1}`, weights: own })),
    },
    bars(
      `Probabilities of the ${settings.beginning === 'none' ? 'first letter' : `letter after "${settings.beginning}"`}`,
      likely.map(({ letter, value }) => ({ label: letter, value, text: percent(value) })),
      true,
    ),
    { kind: 'code', caption: 'A transformer in four lines', lines: blockLines },
  ],
});

function isNew(name: string): boolean {
  return !names.includes(name);
}

function marked(name: string): string {
  return isNew(name) ? name : `${name}*`;
}

/** Names as the model reads them: tokens, next tokens, and 1 at the places that count; each [names, places]. */
function batchOf(chosen: readonly string[]) {
  const size = chosen.length * places;
  const [tokens, next, counts] = [new Float32Array(size), new Float32Array(size), new Float32Array(size)];
  for (const [row, name] of chosen.entries()) {
    const own = tokensOfName(name);
    tokens.set(own.slice(0, -1), row * places);
    next.set(own.slice(1), row * places);
    counts.fill(1, row * places, row * places + own.length - 1);
  }
  return [tokens, next, counts] as const;
}

/** Tokens at the first places, as a plan reads them: [places]. */
function padded(tokens: readonly number[]): Float32Array {
  const all = new Float32Array(places);
  all.set(tokens);
  return all;
}

/** Compiles a step, the probabilities of the token after each place, and the attention of each head. */
function plansOf(backend: HostBackend, trainer: Trainer, { batch, temperature }: Settings) {
  const tensors = trainer.tensors(shapes);
  const row: Shape = [batch, places];
  const split = (all: readonly Tensor[]) => [all.slice(0, -1), all.at(-1)!] as const;
  const weightsOf = (...all: Tensor[]): Tensor => {
    let seen: Tensor | undefined;
    logitsOf(...split(all), (each) => {
      seen = each;
    });
    return seen!;
  };
  return {
    step: trainer.plan('step', () =>
      gradientPlan(backend, tensors, [row, row, row], (own, [tokens, next, counts]) => {
        const losses = crossEntropy(logitsOf(own, tokens!), next!, { reduction: 'none' });
        return div(sum(mul(losses, counts!)), sum(counts!));
      }),
    ),
    write: trainer.plan('write', () =>
      compile(backend, (...all) => softmax(logitsOf(...split(all)), { temperature }), [...tensors, [1, places]]),
    ),
    attend: trainer.plan('attend', () => compile(backend, weightsOf, [...tensors, [1, places]])),
  };
}

/** Trains the model, and yields what it writes and sees in between. */
function* train(backend: HostBackend, trainer: Trainer, settings: Settings) {
  const { step: stepPlan, write, attend } = plansOf(backend, trainer, settings);
  /** Uploads inputs of a plan, which follow the parameters, and runs it. */
  const run = (plan: Plan, inputs: readonly Float32Array[]): void => {
    for (const [index, values] of inputs.entries()) {
      backend.upload(plan.inputs[shapes.length + index]!.storage, values);
    }
    plan.run();
  };
  const probabilitiesAfter = (tokens: readonly number[]): Float32Array => {
    run(write, [padded(tokens)]);
    const from = (tokens.length - 1) * nameTokens;
    return backend.view(write.output).slice(from, from + nameTokens);
  };
  /** Returns the attention weights of each head on the name of the settings: [letters, letters]. */
  const weights = (): Float32Array[] => {
    const own = tokensOfName(settings.name).slice(0, -1);
    run(attend, [padded(own)]);
    return attentionMaps(backend.view(attend.output), places, own.length);
  };
  const random = randomStream(settings.seed);
  const nextName = (): string => names[Math.floor(random() * names.length)]!;
  const [at, losses]: [number[], number[]] = [[], []];
  const texts: { readonly step: number; readonly names: readonly string[] }[] = [];
  let newest: number[] = [];
  for (let step = 0; step <= settings.steps; step++) {
    run(stepPlan, batchOf(Array.from({ length: settings.batch }, nextName)));
    newest.push(trainer.lossIn(stepPlan.output));
    if (step % showEvery === 0) {
      at.push(step);
      losses.push(meanOf(newest));
      newest = [];
      if (step % (4 * showEvery) === 0) texts.push({ step, names: writtenNames(settings, step, probabilitiesAfter) });
      const likely = likeliestLetters(probabilitiesAfter(beginningOf(settings)));
      yield { places: [...at], losses: [...losses], texts: [...texts], likely, weights: weights(), settings };
    }
    if (step < settings.steps) trainer.step(stepPlan.output);
  }
}

function likeliestLetters(probabilities: Float32Array) {
  const all = Array.from(probabilities, (value, token) => ({ letter: letterOf(token), value }));
  return all.sort((left, right) => right.value - left.value).slice(0, likeliest);
}

/** Writes names letter by letter, each drawn from the model's probabilities. */
function writtenNames(
  settings: Settings,
  step: number,
  probabilitiesAfter: (tokens: readonly number[]) => Float32Array,
): string[] {
  const random = randomStream(1000 * settings.seed + step);
  return Array.from({ length: written }, () => {
    const own = beginningOf(settings);
    while (own.length < places && (own.length === 1 || own.at(-1) !== nameEnd)) {
      own.push(draw(probabilitiesAfter(own), random()));
    }
    return own.slice(1).map(letterOf).join('').replace('.', '');
  });
}

/** Returns the index at which the sum of probabilities exceeds `at`, from 0 to 1. */
function draw(probabilities: Float32Array, at: number): number {
  let sumSoFar = 0;
  const index = probabilities.findIndex((probability) => {
    sumSoFar += probability;
    return sumSoFar > at;
  });
  return index < 0 ? probabilities.length - 1 : index;
}

/** The tokens that each written name begins with. */
function beginningOf({ beginning }: Settings): number[] {
  return beginning === 'none' ? [nameEnd] : tokensOfName(beginning).slice(0, -1);
}

type See = (weights: Tensor) => void;

/** Returns logits [names, places, tokens] for tokens [names, places]. `see` gets the attention weights. */
function logitsOf(parameters: readonly Tensor[], tokens: Tensor, see: See = () => {}): Tensor {
  const [tokenTable, placeTable] = parameters;
  const [attentionMatrices, [up, down, last]] = [parameters.slice(2, 6), parameters.slice(6)];
  let x = scaled(add(indexSelect(tokenTable!, tokens), placeTable!));
  x = add(x, attention(scaled(x), attentionMatrices, see));
  x = add(x, matmul(relu(matmul(scaled(x), up!)), down!));
  return matmul(x, last!);
}

/** Divides each vector by the root of the mean of its squares. */
function scaled(x: Tensor): Tensor {
  return div(x, sqrt(add(mean(mul(x, x), { axes: [-1], keepAxes: true }), 1e-5)));
}

function attention(x: Tensor, [query, key, value, output]: readonly Tensor[], see: See): Tensor {
  const batch = x.shape[0]!;
  const split = (matrix: Tensor): Tensor =>
    permute(reshape(matmul(x, matrix), [batch, places, heads, width / heads]), [0, 2, 1, 3]);
  const weights = attentionWeights(split(query!), split(key!), true);
  see(weights);
  const joined = permute(matmul(weights, split(value!)), [0, 2, 1, 3]);
  return matmul(reshape(joined, [batch, places, width]), output!);
}
