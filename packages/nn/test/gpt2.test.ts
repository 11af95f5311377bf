/** Models of GPT-2's form are exchanged under its names; PyTorch and transformers give their scores. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { openBackend } from '@lockstep/tensor';
import { describe, expect, it } from 'vitest';
import { folderOf } from '../../data/test/temporary-folder.ts';
import {
  createGeneration,
  createPrediction,
  gpt2Config,
  initialize,
  inputSize,
  type Layer,
  type Model,
  parseModel,
  readModelFile,
  readSafetensors,
  resolveModel,
  sampleToken,
  writeModelFile,
  writeSafetensors,
} from '../src/index.ts';

const nano = resolveModel('gpt-nano');
const weights = initialize(nano, 1);
const file = readSafetensors(writeModelFile(nano, weights));

/** Returns the model with its layers changed, each path of the list and of the lists inside. */
function changed(change: (layer: Layer) => Layer): Model {
  const each = (list: readonly Layer[]): Layer[] =>
    list.map((layer) => change(layer.type === 'residual' ? { ...layer, layers: each(layer.layers) } : layer));
  return parseModel({ ...nano, layers: each(nano.layers) });
}

function withTensors(change: (tensors: typeof file.tensors) => typeof file.tensors): Uint8Array {
  return writeSafetensors({ tensors: change(file.tensors), metadata: {} });
}

describe('a model of GPT-2’s form', () => {
  it('is written under GPT-2’s names, with matrices [in, out], and the tied tensor once', () => {
    const block = (at: number) =>
      [
        ['ln_1.weight', 16],
        ['ln_1.bias', 16],
        ['attn.c_attn.weight', 16, 48],
        ['attn.c_attn.bias', 48],
        ['attn.c_proj.weight', 16, 16],
        ['attn.c_proj.bias', 16],
        ['ln_2.weight', 16],
        ['ln_2.bias', 16],
        ['mlp.c_fc.weight', 16, 64],
        ['mlp.c_fc.bias', 64],
        ['mlp.c_proj.weight', 64, 16],
        ['mlp.c_proj.bias', 16],
      ].map(([name, ...shape]) => [`h.${at}.${name}`, ...shape]);
    const expected = [
      ['wte.weight', 27, 16],
      ['wpe.weight', 16, 16],
      ...block(0),
      ...block(1),
      ['ln_f.weight', 16],
      ['ln_f.bias', 16],
    ].map(([name, ...shape]) => [`transformer.${name}`, ...shape]);
    expect(file.tensors.map(({ name, shape }) => [name, ...shape])).toEqual(expected);
    expect(file.tensors.flatMap(({ values }) => [...values])).toEqual([...weights]);
  });

  it.each<[what: string, change: Parameters<typeof withTensors>[0]]>([
    ['names without their prefix', (list) => list.map((each) => ({ ...each, name: each.name.slice(12) }))],
    [
      'masks',
      (list) => [
        ...list,
        { name: 'transformer.h.0.attn.bias', shape: [1, 1, 2, 2], values: Float32Array.of(1, 0, 1, 1) },
        { name: 'transformer.h.1.attn.masked_bias', shape: [], values: Float32Array.of(-1e4) },
      ],
    ],
    ['the tied tensor twice', (list) => [...list, { ...list[0]!, name: 'lm_head.weight' }]],
  ])('is read from a file with %s', (_, change) => {
    expect(readModelFile(nano, withTensors(change))).toEqual(weights);
  });

  it('is read whatever the dtype of its masks', () => {
    const name = 'h.0.attn.bias';
    const bytes = withTensors((list) => [...list, { name, shape: [1, 1, 1, 2], values: Float32Array.of(1, 0) }]);
    const text = new TextDecoder('latin1').decode(bytes);
    const at = text.indexOf('F32', text.indexOf(name));
    bytes.set(new TextEncoder().encode('U64'), at);
    expect(readModelFile(nano, bytes)).toEqual(weights);
  });

  it.each<[what: string, change: Parameters<typeof withTensors>[0], message: string]>([
    [
      'an output that is not tied',
      (list) => [...list, { ...list[0]!, name: 'lm_head.weight', values: list[0]!.values.map((value) => -value) }],
      'expected lm_head.weight to equal transformer.wte.weight, because the output is tied, got other values',
    ],
    [
      'another width',
      (list) => list.map((each) => (each.name.endsWith('wte.weight') ? { ...each, shape: [9, 48] } : each)),
      'model gpt-nano: transformer.wte.weight: expected [27, 16], got [9, 48]',
    ],
  ])('refuses %s in one sentence', (_, change, message) => {
    expect(() => readModelFile(nano, withTensors(change))).toThrow(new Error(message));
  });

  it('has dropout wherever it likes', () => {
    const list = nano.layers.flatMap((layer): Layer[] => [layer, { type: 'dropout', rate: 0.5 }]);
    const { tensors } = readSafetensors(writeModelFile({ ...nano, layers: list }, weights));
    expect(tensors.map(({ name }) => name)).toEqual(file.tensors.map(({ name }) => name));
  });

  it('says in its configuration what transformers must know', () => {
    const set = changed((layer) => {
      if (layer.type === 'layerNorm') return { ...layer, epsilon: 0.01 };
      if (layer.type === 'attention') return { ...layer, heads: 4, dropout: 0.25 };
      if (layer.type === 'dense' && layer.units === 64) return { ...layer, units: 24 };
      return layer.type === 'gelu' ? { type: 'tanh' } : layer;
    });
    expect(gpt2Config(set)).toMatchObject({
      ...{ model_type: 'gpt2', vocab_size: 27, n_positions: 16, n_embd: 16, n_layer: 2, n_head: 4, n_inner: 24 },
      ...{ activation_function: 'tanh', layer_norm_epsilon: 0.01, attn_pdrop: 0.25, embd_pdrop: 0, resid_pdrop: 0 },
    });
  });
});

describe('a model of another form keeps the names of its layers', () => {
  const others: Readonly<Record<string, Model>> = {
    'no causal mask': changed((layer) => (layer.type === 'attention' ? { ...layer, causal: false } : layer)),
    'unequal blocks': { ...nano, layers: nano.layers.with(2, { ...changedHeads(nano.layers[2]!) }) },
    'an activation that transformers lacks': changed((layer) => (layer.type === 'gelu' ? { type: 'softsign' } : layer)),
    'a missing block’s half': { ...nano, layers: nano.layers.toSpliced(3, 1) },
    'an output of its own': { ...nano, layers: nano.layers.with(-1, { type: 'dense', units: 27 }) },
  };

  it.each(Object.entries(others))('%s', (_, model) => {
    const { tensors } = readSafetensors(writeModelFile(model, initialize(model, 1)));
    expect(tensors.map(({ name }) => name).slice(0, 3)).toEqual(['0.weight', '1.weight', '2.0.weight']);
    expect(() => gpt2Config(model)).toThrow(
      'model gpt-nano: expected the layers of GPT-2, with equal blocks and a tied output, which transformers needs',
    );
  });
});

function changedHeads(layer: Layer): Layer {
  if (layer.type !== 'residual') throw new Error(`expected a residual layer, got ${layer.type}`);
  return {
    ...layer,
    layers: layer.layers.map((inner) => (inner.type === 'attention' ? { ...inner, heads: 1 } : inner)),
  };
}

const python = (...args: string[]) => spawnSync('python3', args, { encoding: 'utf8', maxBuffer: 2 ** 26 });
const hasPackages = python('-c', 'import torch, transformers, safetensors').status === 0;

/** After the guide's program: prints as JSON the scores of tokens, 64-bit numbers, by the program and by GPT-2. */
const script = `
import json, sys
import numpy
from transformers import GPT2LMHeadModel
folder = sys.argv[1]
config = json.load(open(folder + "/config.json"))
tokens = torch.from_numpy(numpy.fromfile(folder + "/tokens", dtype="<i8")).view(-1, config["n_positions"])
with torch.no_grad():
    net = GPT(folder + "/model.safetensors", config["n_head"])
    own = net(tokens)
    theirs = GPT2LMHeadModel.from_pretrained(folder).eval()(tokens).logits
    window, text = [0], []
    for _ in range(200):
        text.append(int(net(torch.tensor([window]))[0, -1].argmax()))
        # A full context loses its first half.
        window = (window if len(window) < config["n_positions"] else window[config["n_positions"] // 2 :]) + text[-1:]
print(json.dumps({"scores": [own.flatten().tolist(), theirs.flatten().tolist()], "text": text}))
`;

const title = hasPackages ? '' : ' (skipped: python3 lacks one of torch, transformers, safetensors)';
describe.skipIf(!hasPackages)(`PyTorch${title}`, () => {
  it('gives the same scores by the guide’s program and by GPT2LMHeadModel, and the same 200 tokens', async () => {
    const [count, positions] = [3, inputSize(nano)];
    const tokens = Uint8Array.from({ length: count * positions }, (_, at) => (at * at) % 27);
    // Initial weights of GPT-2 are so small that attention would hardly matter.
    const large = weights.map((weight) => 5 * weight);
    const folder = folderOf({
      'model.safetensors': writeModelFile(nano, large),
      'config.json': JSON.stringify(gpt2Config(nano)),
      tokens: new Uint8Array(BigInt64Array.from(tokens, BigInt).buffer),
    });
    const guide = readFileSync(new URL('../../../docs/gpt2.md', import.meta.url), 'utf8');
    const [, program] = /^```python\n(import torch\n[^`]*)^```$/m.exec(guide)!;
    const { stdout, stderr, status } = python('-c', `${program}${script}`, folder);
    expect({ status, stderr: status === 0 ? '' : stderr }).toEqual({ status: 0, stderr: '' });
    const { backend } = await openBackend('cpu');
    const parameters = backend.allocate(large.length);
    backend.upload(parameters, large);
    const plan = createPrediction(backend, nano, count, parameters);
    plan.run(tokens);
    const ours = await backend.download(plan.output);
    const largest = Math.max(...ours.map(Math.abs));
    const printed = JSON.parse(stdout) as { scores: number[][]; text: number[] };
    const generation = createGeneration(backend, nano, parameters);
    let scores = generation.begin([0]);
    const text = printed.text.map(() => {
      const token = sampleToken(scores, { temperature: 0, random: () => 0 });
      scores = generation.next(token);
      return token;
    });
    expect(text).toEqual(printed.text);
    expect(text).toHaveLength(200);
    expect(new Set(text).size).toBeGreaterThan(4);
    for (const theirs of printed.scores) {
      expect(theirs).toHaveLength(ours.length);
      expect(Math.max(...ours.map((score, at) => Math.abs(score - theirs[at]!)))).toBeLessThan(1e-5 * largest);
    }
  });
});
