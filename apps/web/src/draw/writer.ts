/** Continues texts with a run's model. A chunk of its own, because it includes the tensor engine. */
import { continueText, createGeneration, parameterCount, parseModel, promptTokens } from '@lockstep/nn';
import { floatsFrom, type RunMessage } from '@lockstep/protocol';
import { openBackend } from '@lockstep/tensor';
import { vocabularyOf } from '../watch/run-store.ts';

/** A text to continue. */
export interface Beginning {
  readonly prompt: string;
  readonly temperature: number;
  /** Equal seeds give equal texts for equal weights. */
  readonly seed: number;
}

export type Writer = Awaited<ReturnType<typeof openWriter>>;

/** @throws Error if the model predicts no next tokens, or no backend can compute it */
export async function openWriter(run: RunMessage) {
  const { model: modelData, targetField } = run;
  const vocabulary = vocabularyOf(run);
  if (!vocabulary) throw new Error('its vocabulary is too large for this page');
  const model = parseModel(modelData);
  // Not on the GPU: computing one token takes less time than starting its kernels.
  const { backend } = await openBackend('cpu').catch(() => openBackend('reference'));
  const parameters = backend.allocate(parameterCount(model));
  const generation = createGeneration(backend, model, parameters);
  const lines = targetField.role === 'next' && targetField.lines === true;
  return {
    /**
     * Yields what the model appends to the prompt, token by token, without end.
     * @param weights all parameters in model order, little-endian float32
     * @throws DataError that names the first character of the prompt that the model does not know
     */
    write(weights: Uint8Array, beginning: Beginning): Generator<string> {
      const prompt = promptTokens(vocabulary, lines, beginning.prompt);
      backend.upload(parameters, floatsFrom(weights));
      return continueText(generation, { ...beginning, vocabulary, lines, prompt });
    },
  };
}
