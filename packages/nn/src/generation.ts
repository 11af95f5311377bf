/** Continues a text token by token: each layer keeps what it needs of the tokens before, so that none is read twice. */

import { checkArguments, decodeTokens, encodeText, type Vocabulary } from '@lockstep/data';
import {
  arange,
  compile,
  equal,
  exp32,
  fromStorage,
  greaterEqual,
  type HostBackend,
  randomStream,
  type Storage,
  sizeOf,
  type Tensor,
} from '@lockstep/tensor';
import { kinds } from './check.ts';
import { forward } from './forward.ts';
import { layerKind } from './layers.ts';
import { everyLayer, inputSize, type Model, outputCount, parameterTensors, predictsPositions } from './model.ts';

/**
 * Reads tokens one after another, and predicts the next.
 * Scores [tokens] are valid until the next call.
 */
export interface Generation {
  /** Forgets the text so far, and reads the tokens of another. Throws if there are none. */
  begin(prompt: ArrayLike<number>): Float32Array;
  /** Reads one more token. @returns the scores of the token that follows it */
  next(token: number): Float32Array;
  dispose(): void;
}

/**
 * Creates the state of a text that a model continues.
 * It reads the current `parameters` [P], which the caller owns. The scores have the bits of a prediction of the whole
 * text. A model with positions or attention reads at most as many tokens as its input has: the token after those makes
 * it forget the first half of them, and read the rest again from position 0. A model of recurrent layers alone never
 * forgets.
 * @throws Error unless the model predicts the next token at each position from the tokens up to there
 */
export function createGeneration(backend: HostBackend, model: Model, parameters: Storage): Generation {
  checkArguments('createGeneration', [kinds.backend, backend], [kinds.model, model], [kinds.storage, parameters]);
  if (!predictsPositions(model)) {
    throw new Error(`generation: expected a model that predicts the next token at each position, got ${model.name}`);
  }
  const step = compileStep(backend, model, parameters);
  const [context, tokens] = [step.isBounded ? inputSize(model) : Number.POSITIVE_INFINITY, outputCount(model)];
  /** Tokens at the positions of the input, kept only if their number is bounded. */
  let window: number[] = [];

  const forget = (): void => {
    window = [];
    step.forget();
  };
  const read = (token: number): Float32Array => {
    if (!Number.isInteger(token) || token < 0 || token >= tokens) {
      throw new Error(`generation: expected a token from 0 to ${tokens - 1}, got ${token}`);
    }
    if (window.length === context) {
      const kept = window.slice(Math.ceil(context / 2));
      forget();
      for (const earlier of kept) read(earlier);
    }
    const scores = step.run(token, window.length);
    if (step.isBounded) window.push(token);
    return scores;
  };

  return {
    begin(prompt) {
      if (prompt.length === 0) throw new Error('generation: expected a prompt of at least one token, got none');
      forget();
      let scores: Float32Array = new Float32Array();
      for (let index = 0; index < prompt.length; index++) scores = read(prompt[index]!);
      return scores;
    },
    next: read,
    dispose: step.dispose,
  };
}

/** Compiles the forward pass of one token, with what the layers keep as inputs that are updated in place. */
function compileStep(backend: HostBackend, model: Model, parameters: Storage) {
  const kept = everyLayer(model).flatMap((placed) => {
    const { stepwise } = layerKind(placed.layer);
    const shapes = stepwise?.memory?.(placed.layer, placed.input) ?? [];
    return shapes.map((shape) => ({ path: placed.path, shape, storage: backend.allocate(sizeOf(shape)) }));
  });
  const isBounded = everyLayer(model).some(({ layer }) => layerKind(layer).stepwise?.isBounded);
  const own = parameterTensors(backend, model, parameters);
  const memory = kept.map(({ storage, shape }) => fromStorage(backend, storage, shape));
  const plan = compile(
    backend,
    (token, position, ...rest) => {
      const before = new Map<string, Tensor[]>();
      const after = new Map<string, Tensor[]>();
      for (const { path } of kept) before.set(path, [...(before.get(path) ?? []), rest.shift()!]);
      const positions = arange(position!.backend, inputSize(model));
      const place = {
        position: position!,
        isHere: equal(positions, position!),
        isRead: greaterEqual(position!, positions),
      };
      const scores = forward(model, token!, rest, {
        replace({ path, layer }, input, weights) {
          const { stepwise } = layerKind(layer);
          if (!stepwise) return undefined;
          const [output, ...remembered] = stepwise.next(layer, input, weights, before.get(path) ?? [], place);
          after.set(path, remembered);
          return output;
        },
      });
      return [scores, ...kept.map(({ path }) => after.get(path)!.shift()!)];
    },
    [[1, 1], [1], ...memory, ...own],
    { into: [undefined, ...kept.map(({ storage }) => storage)] },
  );
  const [tokenInput, positionInput] = plan.inputs;
  const scores = new Float32Array(outputCount(model));
  const value = new Float32Array(1);
  return {
    isBounded,
    run(token: number, position: number): Float32Array {
      value[0] = token;
      backend.upload(tokenInput!.storage, value);
      // Without a bound no layer reads it, and a count might exceed the whole numbers of float32.
      value[0] = isBounded ? position : 0;
      backend.upload(positionInput!.storage, value);
      plan.run();
      scores.set(backend.view(plan.output));
      return scores;
    },
    forget(): void {
      for (const { storage } of kept) backend.view(storage).fill(0);
    },
    dispose(): void {
      plan.dispose();
      for (const { storage } of kept) backend.free(storage);
    },
  };
}

interface SamplingOptions {
  /** Divides the scores: near 0 the largest one wins, at high temperatures all tokens become equally likely. */
  readonly temperature: number;
  /** Number of largest scores to draw from, of equal ones the first; all by default. */
  readonly topK?: number | undefined;
  /** Returns a random number in [0, 1). Not called at temperature 0. */
  readonly random: () => number;
}

/**
 * Draws the next token from scores [tokens], with the same result on every engine.
 * Temperature 0 takes the largest.
 */
export function sampleToken(scores: Float32Array, options: SamplingOptions): number {
  checkArguments('sampleToken', [kinds.numbers, scores], [kinds.sampling, options]);
  const { temperature, topK, random } = options;
  if (!(temperature >= 0)) throw new Error(`sampleToken: expected a temperature of at least 0, got ${temperature}`);
  const descending = Array.from(scores.keys()).sort((a, b) => scores[b]! - scores[a]! || a - b);
  const [largest] = descending as [number];
  if (temperature === 0) return largest;
  const candidates = descending.slice(0, topK);
  const weights = candidates.map((token) => exp32(Math.fround((scores[token]! - scores[largest]!) / temperature)));
  let rest = random() * weights.reduce((sum, weight) => sum + weight, 0);
  const drawn = weights.findIndex((weight) => {
    rest -= weight;
    return rest < 0;
  });
  return candidates[drawn] ?? largest;
}

/** A text to continue, and how its tokens are drawn. */
export interface Continuation extends Omit<SamplingOptions, 'random'> {
  readonly vocabulary: Vocabulary;
  /** Whether the model writes lines, each of which begins with token 0. */
  readonly lines: boolean;
  /** Tokens that the text begins with, at least one. */
  readonly prompt: readonly number[];
  /** Equal seeds give equal texts. */
  readonly seed: number;
}

/**
 * Returns the tokens of a prompt, at least one.
 * Without a prompt, a text begins after a line break, or after token 0 if there is none in the vocabulary; a line
 * always begins with token 0.
 * @throws DataError that names the first character that the vocabulary lacks
 */
export function promptTokens(vocabulary: Vocabulary, lines: boolean, prompt = ''): readonly number[] {
  const tokens = [...encodeText(vocabulary, prompt)];
  if (lines) return [0, ...tokens];
  if (tokens.length > 0) return tokens;
  const hasLineBreak = vocabulary.kind !== 'characters' || vocabulary.tokens.includes('\n');
  return hasLineBreak ? [...encodeText(vocabulary, '\n')] : [0];
}

/** Longest encoding of a character, in tokens. */
const mostTokensOfCharacter = 4;

/**
 * Yields what a model appends to a prompt, without end: the text of each token.
 * A token that does not complete a character gives an empty text, and the character comes with its last token.
 */
export function* continueText(
  generation: Generation,
  { vocabulary, lines, prompt, temperature, topK, seed }: Continuation,
): Generator<string, never> {
  const random = randomStream(seed);
  let scores = generation.begin(prompt);
  /** Tokens of a character that is not complete. */
  let waiting: number[] = [];
  for (;;) {
    const token = sampleToken(scores, { temperature, topK, random });
    waiting.push(token);
    const text = decodeTokens(vocabulary, waiting);
    const isComplete = !text.endsWith('\ufffd') || waiting.length === mostTokensOfCharacter;
    yield isComplete ? text : '';
    if (isComplete) waiting = [];
    // A line does not depend on the lines before it, as in training.
    scores = lines && token === 0 ? generation.begin([0]) : generation.next(token);
  }
}
