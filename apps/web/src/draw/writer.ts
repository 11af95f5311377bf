/** Continues texts with a run's model. A chunk of its own, because it includes the tensor engine. */
import { decodeTokens, encodeText, type Vocabulary } from '@lockstep/data';
import { createGeneration, type Generation, parameterCount, parseModel, sampleToken } from '@lockstep/nn';
import { floatsFrom, type RunMessage } from '@lockstep/protocol';
import { openBackend, randomStream } from '@lockstep/tensor';

/** A text to continue. */
export interface Beginning {
  readonly prompt: string;
  readonly temperature: number;
  /** Equal seeds give equal texts for equal weights. */
  readonly seed: number;
}

export type Writer = Awaited<ReturnType<typeof openWriter>>;

/** @throws Error if the model predicts no next tokens, or no backend can compute it */
export async function openWriter({ model: modelData, targetField, vocabulary: known }: RunMessage) {
  if (known === undefined) throw new Error('its vocabulary is too large for this page');
  const vocabulary = JSON.parse(known) as Vocabulary;
  const model = parseModel(modelData);
  // Not on the GPU: computing one token takes less time than starting its kernels.
  const { backend } = await openBackend('cpu').catch(() => openBackend('reference'));
  const parameters = backend.allocate(parameterCount(model));
  const generation = createGeneration(backend, model, parameters);
  const isOfLines = targetField.role === 'next' && targetField.lines === true;
  return {
    /**
     * Yields what the model appends to the prompt, token by token, without end.
     * @param weights all parameters in model order, little-endian float32
     * @throws DataError that names the first character of the prompt that the model does not know
     */
    write(weights: Uint8Array, beginning: Beginning): Generator<string> {
      const prompt = [...encodeText(vocabulary, beginning.prompt)];
      backend.upload(parameters, floatsFrom(weights));
      return continued(generation, vocabulary, isOfLines, {
        ...beginning,
        tokens: firstTokens(vocabulary, isOfLines, prompt),
      });
    },
  };
}

/** A model needs a token to begin with: lines begin with token 0, and other texts after a line break if it is known. */
function firstTokens(vocabulary: Vocabulary, isOfLines: boolean, prompt: readonly number[]): readonly number[] {
  if (isOfLines) return [0, ...prompt];
  if (prompt.length > 0) return prompt;
  const hasLineBreak = vocabulary.kind !== 'characters' || vocabulary.tokens.includes('\n');
  return hasLineBreak ? [...encodeText(vocabulary, '\n')] : [0];
}

interface Continuation extends Beginning {
  readonly tokens: readonly number[];
}

/** Longest encoding of a character, in tokens. */
const mostTokensOfCharacter = 4;

function* continued(
  generation: Generation,
  vocabulary: Vocabulary,
  isOfLines: boolean,
  { tokens, temperature, seed }: Continuation,
): Generator<string> {
  const random = randomStream(seed);
  let scores = generation.begin(tokens);
  /** Tokens of a character that is not complete. */
  let waiting: number[] = [];
  for (;;) {
    const token = sampleToken(scores, { temperature, random });
    waiting.push(token);
    const text = decodeTokens(vocabulary, waiting);
    const isComplete = !text.endsWith('\ufffd') || waiting.length === mostTokensOfCharacter;
    yield isComplete ? text : '';
    if (isComplete) waiting = [];
    // A line does not depend on the lines before it, as in training.
    scores = isOfLines && token === 0 ? generation.begin([0]) : generation.next(token);
  }
}
