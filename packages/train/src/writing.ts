/** The text that a model writes, token by token: what a run shows while it learns, and what a loaded model generates. */
import { nonNegativeKind, type OptionKind, type Options, option, wholeKind } from '@lockstep/command/options';
import { type Dataset, sizeOfField, takeSamples } from '@lockstep/data';
import { decodeTokens, encodeText, type Vocabulary } from '@lockstep/data/readers';
import {
  createEvaluator,
  createGeneration,
  type DatasetEvaluator,
  type Evaluation,
  type Model,
  parameterCount,
  sampleToken,
  type WeightsMemory,
} from '@lockstep/nn';
import { maxPromptLength } from '@lockstep/protocol';
import { type HostBackend, randomStream, type Storage } from '@lockstep/tensor';
import * as v from 'valibot';

/** The beginning of a text, which may be empty. */
export const promptKind: OptionKind<string> = {
  schema: v.pipe(v.string(), v.maxLength(maxPromptLength)),
  expected: `a text of at most ${maxPromptLength} characters`,
  placeholder: 'TEXT',
  read: (text) => text,
};

/** The options of `generate`, for command lines and programs. The default temperature is nanoGPT's. */
export const generateOptions = {
  prompt: option(promptKind, 'beginning of the text, which the model continues', {
    default: '',
    defaultText: 'none',
    library: 'prompt',
  }),
  length: option(wholeKind({ from: 1 }), 'number of tokens to write: characters, unless the vocabulary was merged', {
    default: 500,
    library: 'length',
  }),
  temperature: option(
    nonNegativeKind,
    'divides the scores before a token is drawn: below 1, likely tokens become likelier; 0 takes the likeliest',
    { default: 0.8, library: 'temperature' },
  ),
  'top-k': option(wholeKind({ from: 1 }), 'number of likeliest tokens to draw from', {
    defaultText: 'all',
    library: 'topK',
  }),
  seed: option(wholeKind({ to: 2 ** 32 - 1 }), 'seed of the draws: equal seeds give equal texts', {
    default: 1,
    library: 'seed',
  }),
} as const satisfies Options;

/** How the next token is drawn from the scores of all. */
export interface Sampling {
  readonly temperature: number;
  /** Omitted to draw from all tokens. */
  readonly topK?: number | undefined;
  readonly seed: number;
}

/** The text that a run writes every few steps: plain data, for another thread too. */
export interface WritingSetup {
  readonly vocabulary: Vocabulary;
  /** Tokens that the text begins with. */
  readonly prompt: readonly number[];
  readonly seed: number;
  /** Whether the model writes lines, each of which begins with token 0. */
  readonly lines: boolean;
}

/**
 * Returns the tokens of a prompt. The model needs one at least: without a prompt, a text begins after a line break, or
 * after token 0 if there is none in the vocabulary; a line always begins with token 0.
 * @throws DataError that names the first character that the vocabulary lacks
 */
export function promptTokens(vocabulary: Vocabulary, lines: boolean, prompt = ''): readonly number[] {
  const tokens = [...encodeText(vocabulary, prompt)];
  if (lines) return [0, ...tokens];
  if (tokens.length > 0) return tokens;
  try {
    return [...encodeText(vocabulary, '\n')];
  } catch {
    return [0];
  }
}

/** Yields the tokens that continue a prompt, without end. */
export function* continuation(
  backend: HostBackend,
  model: Model,
  parameters: Storage,
  { prompt, lines, temperature, topK, seed }: Sampling & Pick<WritingSetup, 'prompt' | 'lines'>,
): Generator<number> {
  const generation = createGeneration(backend, model, parameters);
  const random = randomStream(seed);
  try {
    let logits = generation.begin(prompt);
    for (;;) {
      const token = sampleToken(logits, { temperature, topK, random });
      yield token;
      // A line does not depend on the lines before it, as in training.
      logits = lines && token === 0 ? generation.begin([0]) : generation.next(token);
    }
  } finally {
    generation.dispose();
  }
}

/** Longest encoding of a character, in tokens. */
const mostTokensOfCharacter = 4;

/** Returns a function that gives the text of each next token; an incomplete character waits for its other tokens. */
export function textDecoder(vocabulary: Vocabulary): (token: number) => string {
  let waiting: number[] = [];
  return (token) => {
    waiting.push(token);
    const text = decodeTokens(vocabulary, waiting);
    if (text.endsWith('\ufffd') && waiting.length < mostTokensOfCharacter) return '';
    waiting = [];
    return text;
  };
}

/** Characters of the text that a run writes. */
const sampleLength = 300;
/** Predicted tokens of the part of the held-out samples that is evaluated with each text. */
const partTokens = 16_384;
/** Tokens between two pauses. */
const tokensAtOnce = 8;

/** Samples on which weights are evaluated. */
export interface Measured {
  readonly model: Model;
  readonly data: Dataset;
  /** Whether evaluations have metrics. */
  readonly hasMetrics: boolean;
  /** A text to write with the weights, which are then evaluated on a part of the samples only. */
  readonly writing?: WritingSetup | undefined;
}

/** An evaluation, and the text if one was to be written. */
export type Evaluated = Evaluation & { readonly text?: string };

/** @param memory lends memory to each evaluation; by default the evaluator's own */
export function createMeasurement(
  backend: HostBackend,
  { model, data, hasMetrics, writing }: Measured,
  memory?: WeightsMemory,
): DatasetEvaluator<Evaluated> {
  if (!writing) return createEvaluator(backend, model, data, memory, hasMetrics);
  return createWriter(backend, model, createEvaluator(backend, model, partOf(data), memory, hasMetrics), writing);
}

function createWriter(
  backend: HostBackend,
  model: Model,
  evaluator: DatasetEvaluator<Evaluation>,
  { vocabulary, prompt, seed, lines }: WritingSetup,
): DatasetEvaluator<Evaluated> {
  let parameters: Storage | undefined;
  return {
    async evaluate(weights, pause) {
      const evaluation = await evaluator.evaluate(weights, pause);
      // Without finite scores there is nothing to draw from.
      if (!Number.isFinite(evaluation.loss)) return evaluation;
      parameters ??= backend.allocate(parameterCount(model));
      backend.upload(parameters, weights);
      const sampling = { temperature: generateOptions.temperature.default, seed };
      const decode = textDecoder(vocabulary);
      let [text, tokens] = ['', 0];
      for (const token of continuation(backend, model, parameters, { prompt, lines, ...sampling })) {
        text += decode(token);
        tokens += 1;
        if (text.length >= sampleLength || tokens === sampleLength) break;
        if (tokens % tokensAtOnce === 0) await pause();
      }
      return { ...evaluation, text };
    },
    dispose() {
      evaluator.dispose();
      if (parameters) backend.free(parameters);
      parameters = undefined;
    },
  };
}

/** Evenly spaced samples, with about `partTokens` tokens. */
function partOf(data: Dataset): Dataset {
  const wanted = Math.max(1, Math.floor(partTokens / sizeOfField(data.samples)));
  if (wanted >= data.count) return data;
  return takeSamples(
    data,
    Uint32Array.from({ length: wanted }, (_, index) => Math.floor((index * data.count) / wanted)),
  );
}
