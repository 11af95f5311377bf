/**
 * Models whose layers are GPT-2's: the names of their tensors in files, and the settings that `transformers` needs to
 * load them. Matrices keep our layout [in, out], which is also GPT-2's.
 */
import { checkArguments } from '@lockstep/data';
import { kinds } from './check.ts';
import type { Layer } from './layers.ts';
import type { NamedTensor } from './safetensors.ts';

interface Gpt2Model {
  readonly name: string;
  readonly input: readonly number[];
  readonly layers: readonly Layer[];
}

/** Activations of the feed-forward layers, which `transformers` knows by the same names. */
const activations = ['gelu', 'relu', 'sigmoid', 'tanh'];

const block = `residual\\(layerNorm attention\\) residual\\(layerNorm dense (?:${activations.join('|')}) dense\\)`;
/** The types of all layers but dropout, which does not change predictions. */
const form = new RegExp(`^embedding positions (?:${block} )+layerNorm tiedOutput$`);

/** Names of the layers that have parameters, in order. */
const names = { first: ['wte', 'wpe'], block: ['ln_1', 'attn', 'ln_2', 'mlp.c_fc', 'mlp.c_proj'], last: ['ln_f'] };

const prefix = 'transformer.';
const embeddingName = `${prefix}wte.weight`;
/** A copy of the tied weight, which some programs write for the output. */
const outputName = 'lm_head.weight';

function outline(layers: readonly Layer[]): string {
  const shown = layers.filter(({ type }) => type !== 'dropout');
  return shown.map((layer) => ('layers' in layer ? `${layer.type}(${outline(layer.layers)})` : layer.type)).join(' ');
}

/**
 * Returns the settings of the layers, named as in GPT-2's configuration; undefined unless the layers have GPT-2's form
 * with equal blocks.
 */
function gpt2Settings(layers: readonly Layer[]) {
  if (!form.test(outline(layers))) return undefined;
  const every = layers.flatMap((layer) => [layer, ...('layers' in layer ? layer.layers : [])]);
  const all = <Type extends Layer['type']>(type: Type) =>
    every.filter((layer): layer is Extract<Layer, { type: Type }> => layer.type === type);
  const rate = (list: readonly Layer[]): number => list.find((layer) => layer.type === 'dropout')?.rate ?? 0;
  const [attentions, dense] = [all('attention'), all('dense')];
  const [embedding] = all('embedding');
  const alike = {
    heads: attentions.map(({ heads }) => heads),
    causal: attentions.map(({ causal = true }) => causal),
    epsilon: all('layerNorm').map(({ epsilon = 1e-5 }) => epsilon),
    units: dense.flatMap(({ units }, index) => (index % 2 === 0 ? [units] : [])),
    activation: every.map(({ type }) => type).filter((type) => activations.includes(type)),
  };
  if (alike.causal.includes(false) || Object.values(alike).some((values) => new Set<unknown>(values).size > 1)) {
    return undefined;
  }
  return {
    vocab_size: embedding!.tokens,
    n_embd: embedding!.width,
    n_layer: attentions.length,
    n_head: alike.heads[0]!,
    n_inner: alike.units[0]!,
    activation_function: alike.activation[0]!,
    layer_norm_epsilon: alike.epsilon[0]!,
    embd_pdrop: rate(layers),
    attn_pdrop: attentions[0]!.dropout ?? 0,
    resid_pdrop: rate(all('residual')[0]!.layers),
  };
}

/** Returns GPT-2's names of the layers that have parameters, in order; undefined unless the layers are GPT-2's. */
export function gpt2Names(layers: readonly Layer[]): string[] | undefined {
  const settings = gpt2Settings(layers);
  if (!settings) return undefined;
  const blocks = Array.from({ length: settings.n_layer }, (_, at) => names.block.map((name) => `h.${at}.${name}`));
  return [...names.first, ...blocks.flat(), ...names.last].map((name) => `${prefix}${name}`);
}

/**
 * Returns the `config.json` of a model for `transformers`.
 * `GPT2LMHeadModel.from_pretrained` loads the model's safetensors file with it. Throws one sentence unless the layers are GPT-2's.
 */
export function gpt2Config(model: Gpt2Model) {
  checkArguments('gpt2Config', [kinds.model, model]);
  const { name, input, layers } = model;
  const settings = gpt2Settings(layers);
  if (!settings) {
    throw new Error(
      `model ${name}: expected the layers of GPT-2, with equal blocks and a tied output, which transformers needs`,
    );
  }
  return {
    architectures: ['GPT2LMHeadModel'],
    model_type: 'gpt2',
    n_positions: input[0]!,
    ...settings,
    tie_word_embeddings: true,
    // A text has no special tokens; GPT-2's own numbers may lie outside of the vocabulary.
    bos_token_id: null,
    eos_token_id: null,
    torch_dtype: 'float32',
  };
}

/** Whether a tensor of a GPT-2 file is a mask of attention, which is not trained. */
export function isGpt2Mask(name: string): boolean {
  return /^(?:transformer\.)?h\.\d+\.attn\.(?:masked_)?bias$/.test(name);
}

/**
 * Returns the tensors of a GPT-2 file with their full names, without the copy of the tied weight that some files have;
 * those of another file unchanged. Throws one sentence if the copy differs.
 */
export function gpt2Tensors(tensors: readonly NamedTensor[]): readonly NamedTensor[] {
  const named = tensors.map((tensor) => {
    const isFull = tensor.name.startsWith(prefix) || tensor.name === outputName;
    return isFull ? tensor : { ...tensor, name: `${prefix}${tensor.name}` };
  });
  const tied = named.find(({ name }) => name === embeddingName)?.values;
  if (!tied) return tensors;
  const output = named.find(({ name }) => name === outputName)?.values ?? tied;
  if (output.length !== tied.length || output.some((value, at) => value !== tied[at])) {
    throw new Error(`expected ${outputName} to equal ${embeddingName}, because the output is tied, got other values`);
  }
  return named.filter(({ name }) => name !== outputName);
}
