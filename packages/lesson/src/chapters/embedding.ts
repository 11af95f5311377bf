/** Embeddings: tokens as points in the plane, trained on which token follows which. */
import {
  add,
  arange,
  fromArray,
  type HostBackend,
  indexSelect,
  logSoftmax,
  matmul,
  mul,
  neg,
  normal,
  oneHot,
  randomStream,
  type Shape,
  sum,
  type Tensor,
} from '@lockstep/tensor';
import { choice, count, defineChapter, range, seedControl } from '../chapter.ts';
import { decimal, figures, lossCurves, type Plane, table, thousands } from '../exhibit.ts';
import { countPairs, letterOf, lossOfPairs, names, nameTokens, tokensOfName } from '../names.ts';
import { fit } from '../trainer.ts';
import { meanOf, valuesOf } from '../values.ts';

/** Tokens of a text, and which follows which. */
interface Pairs {
  /** As people read them. */
  readonly tokens: readonly string[];
  /** The kind of each token, of which training knows nothing. */
  readonly kinds: readonly string[];
  /** How often the token of a column follows that of a row: [tokens, tokens]. */
  readonly counts: readonly number[];
}

const vowels = 'aeiou';

/** Pairs of letters in names, with the dot that begins and ends each name. */
function letterPairs(): Pairs {
  const tokens = Array.from({ length: nameTokens }, (_, token) => letterOf(token));
  const kinds = tokens.map((letter) => (letter === '.' ? 'end' : vowels.includes(letter) ? 'vowel' : 'consonant'));
  return { tokens, kinds, counts: countPairs(names.map(tokensOfName), tokens.length) };
}

/** The words of the sentences, by kind. */
const words = {
  article: ['the', 'a', 'my'],
  adjective: ['big', 'small', 'old'],
  animal: ['cat', 'dog', 'bird', 'horse'],
  food: ['bread', 'soup', 'cake'],
  'verb without object': ['sleeps', 'runs', 'waits'],
  'verb with object': ['eats', 'likes', 'finds'],
  end: ['.'],
} as const;
type Kind = keyof typeof words;
const sentences = 500;

/** Pairs of words in sentences drawn at random, such as "the old dog eats my cake". */
function wordPairs(): Pairs {
  const tokens: readonly string[] = Object.values(words).flat();
  const kinds = Object.entries(words).flatMap(([kind, own]) => own.map(() => kind));
  const random = randomStream(1);
  const oneOf = (kind: Kind): number => {
    const own = words[kind];
    return tokens.indexOf(own[Math.floor(random() * own.length)]!);
  };
  const noun = (kind: Kind): number[] => {
    const adjectives = random() < 0.5 ? [oneOf('adjective')] : [];
    return [oneOf('article'), ...adjectives, oneOf(kind)];
  };
  const drawn = Array.from({ length: sentences }, () => {
    const rest = random() < 0.5 ? [oneOf('verb without object')] : [oneOf('verb with object'), ...noun('food')];
    return [oneOf('end'), ...noun('animal'), ...rest, oneOf('end')];
  });
  return { tokens, kinds, counts: countPairs(drawn, tokens.length) };
}

/** The plane has two numbers for each token. */
const width = 2;
/** Number of pictures while the points move. */
const pictures = 30;
/** Keeps tokens near whose few pairs would send them far away, such as q. */
const weightDecay = 0.1;
/** Kinds whose tokens have the color of the first class. */
const marked = ['vowel', 'animal', 'food'];
const nearestCount = 3;

export const embedding = defineChapter({
  id: 'embedding',
  title: 'Embeddings: tokens as points',
  claim: 'Tokens that are followed by the same tokens come together, although training knows nothing of their kinds.',
  text: [
    'A network computes with numbers, and a text has none. So every [[token]], a letter or a word, gets a [[vector]] of its own: its [[embedding]]. The vectors are the rows of a table of parameters, random at first. Looking up a row is the same as multiplying the table by a vector that is 1 at the place of the token and 0 elsewhere.',
    'Here a network predicts the next token from the embedding of one token alone. Two numbers have to say everything about a token that matters for what follows. So tokens that are used alike move to the same place. Nobody tells the network which letters are vowels, or which words are animals.',
    'It sees only what follows. In the sentences, foods and verbs such as "sleeps" share a place, because a sentence ends after both. A large model predicts from many tokens, with thousands of numbers for each of 100,000 tokens. There "king" and "queen" point in similar directions.',
  ],
  controls: {
    tokens: choice('Tokens', ['letters of names', 'words of sentences'], 'letters of names'),
    steps: count({ label: 'Steps', from: 100, to: 2000, fallback: 600, step: 100 }),
    lr: range({ label: 'Learning rate', from: 0.001, to: 0.2, fallback: 0.05, step: 0.05, scale: 'log' }),
    seed: seedControl,
  },
  *run({ backend }, { tokens, steps, lr, seed }) {
    const pairs = tokens === 'letters of names' ? letterPairs() : wordPairs();
    const size = pairs.tokens.length;
    const total = pairs.counts.reduce((sumSoFar, each) => sumSoFar + each, 0);
    const shapes: readonly Shape[] = [[size, width], [width, size], [size]];
    const training = fit({
      backend,
      optimizer: { type: 'adamw', learningRate: lr, weightDecay },
      shapes,
      start: valuesOf(backend, () => normal(backend, [(2 * width + 1) * size], seed, { standardDeviation: 0.1 })),
      given: [{ values: pairs.counts.map((each) => each / total), shape: [size, size] }],
      loss: ([rows, weight, bias], [shares]) => neg(sum(mul(shares!, logSoftmax(add(matmul(rows!, weight!), bias!))))),
      steps,
      showEvery: Math.ceil(steps / pictures),
    });
    for (const { losses, parameters } of training) {
      const points = parameters.slice(0, size * width);
      yield { pairs, losses, points, spread: spreadOf(pairs, points), differing: differing(backend, points) };
    }
  },
  show: ({ pairs, losses, points, spread, differing }) => [
    planeOf(pairs, points, losses.length - 1),
    figures({
      'distance of tokens of one kind': decimal(spread.within),
      'distance of tokens of different kinds': decimal(spread.between),
      loss: decimal(losses.at(-1)!),
      'loss of guessing': decimal(Math.log(pairs.tokens.length)),
      'rows that differ from the product': `${differing} of ${pairs.tokens.length}`,
    }),
    lossCurves('Loss, and the loss of counting pairs, which no such network can beat', losses, {
      'counting pairs': lossOfPairs(pairs.counts, pairs.tokens.length),
    }),
    table(
      'Nearest tokens',
      ['token', 'kind', 'nearest'],
      pairs.tokens.map((token, index) => {
        const near = nearestTo(points, index).slice(0, nearestCount);
        return [token, pairs.kinds[index]!, near.map((other) => pairs.tokens[other]).join(' ')];
      }),
    ),
  ],
});

function planeOf({ tokens, kinds }: Pairs, points: Float32Array, steps: number): Plane {
  const range = [0, 1].map((axis) => {
    const own = tokens.map((_, token) => points[token * width + axis]!);
    return [Math.min(...own), Math.max(...own)] as const;
  });
  // Both axes have one scale, with room for the labels.
  const half = 0.6 * Math.max(...range.map(([from, to]) => to - from));
  const [x, y] = range.map(([from, to]) => [(from + to) / 2 - half, (from + to) / 2 + half] as const);
  return {
    kind: 'plane',
    caption: `Embeddings of the tokens after ${thousands(steps)} steps`,
    x: x!,
    y: y!,
    points: tokens.map((label, token) => ({
      x: points[token * width]!,
      y: points[token * width + 1]!,
      label,
      isOn: marked.includes(kinds[token]!),
    })),
    showsLabels: true,
  };
}

function distance(points: Float32Array, left: number, right: number): number {
  const along = (axis: number): number => points[left * width + axis]! - points[right * width + axis]!;
  return Math.hypot(along(0), along(1));
}

/** Returns the other tokens, the nearest first. */
function nearestTo(points: Float32Array, token: number): number[] {
  const others = Array.from({ length: points.length / width }, (_, other) => other).filter((other) => other !== token);
  return others.sort((left, right) => distance(points, token, left) - distance(points, token, right));
}

/** Returns the mean distances of tokens of one kind, and of tokens of different kinds. */
function spreadOf({ tokens, kinds }: Pairs, points: Float32Array) {
  const [within, between]: [number[], number[]] = [[], []];
  for (let left = 0; left < tokens.length; left++) {
    for (let right = 0; right < left; right++) {
      (kinds[left] === kinds[right] ? within : between).push(distance(points, left, right));
    }
  }
  return { within: meanOf(within), between: meanOf(between) };
}

/** Counts the rows that differ between looking up every token, and multiplying the table by one-hot vectors. */
function differing(backend: HostBackend, points: Float32Array): number {
  const size = points.length / width;
  const tokens = (): Tensor => arange(backend, size);
  const rows = (): Tensor => fromArray(backend, points, [size, width]);
  const [found, product] = [
    valuesOf(backend, () => indexSelect(rows(), tokens())),
    valuesOf(backend, () => matmul(oneHot(tokens(), size), rows())),
  ];
  return Array.from({ length: size }, (_, token) => token).filter((token) =>
    [0, 1].some((axis) => found[token * width + axis] !== product[token * width + axis]),
  ).length;
}
