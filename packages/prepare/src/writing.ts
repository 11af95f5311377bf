/** The text that a model writes, token by token: what a run shows while it learns, and what a loaded model generates. */
import { nonNegativeKind, type OptionKind, type Options, option, wholeKind } from '@lockstep/command/options';
import { type Dataset, sizeOfField, takeSamples } from '@lockstep/data';
import {
  type Continuation,
  continueText,
  createEvaluator,
  createGeneration,
  type DatasetEvaluator,
  type Model,
  parameterCount,
  type WeightsMemory,
} from '@lockstep/nn';
import { maxPromptLength } from '@lockstep/protocol';
import type { Evaluated } from '@lockstep/record';
import type { HostBackend, Storage } from '@lockstep/tensor';
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

/** The text that a run writes every few steps: plain data, for another thread too. */
export type WritingSetup = Pick<Continuation, 'vocabulary' | 'prompt' | 'lines' | 'seed'>;

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
  /** A text to write with the weights, which are then evaluated on a part of the samples only. */
  readonly writing?: WritingSetup | undefined;
}

/** @param memory lends memory to each evaluation; by default the evaluator's own */
export function createMeasurement(
  backend: HostBackend,
  { model, data, writing }: Measured,
  memory?: WeightsMemory,
): DatasetEvaluator<Evaluated> {
  if (!writing) return createEvaluator(backend, model, data, memory);
  const evaluator = createEvaluator(backend, model, partOf(data), memory);
  let parameters: Storage | undefined;
  return {
    async evaluate(weights, pause, hasMetrics) {
      const evaluation = await evaluator.evaluate(weights, pause, hasMetrics);
      // Without finite scores there is nothing to draw from.
      if (!Number.isFinite(evaluation.loss)) return evaluation;
      parameters ??= backend.allocate(parameterCount(model));
      backend.upload(parameters, weights);
      const temperature = generateOptions.temperature.default;
      const generation = createGeneration(backend, model, parameters);
      let [text, tokens] = ['', 0];
      try {
        for (const piece of continueText(generation, { ...writing, temperature })) {
          text += piece;
          tokens += 1;
          if (text.length >= sampleLength || tokens === sampleLength) break;
          if (tokens % tokensAtOnce === 0) await pause();
        }
      } finally {
        generation.dispose();
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
