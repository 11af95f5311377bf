/** What a call reads and writes, said once for every pass over recorded calls. */
import type { Epilogue, KernelCall, Storage, StridedView } from '../backend.ts';

export function readsOf(call: KernelCall): readonly Storage[] {
  switch (call.kind) {
    case 'map':
      return call.inputs.map((view) => view.storage);
    case 'reduce':
      return [call.input];
    case 'matmul':
    case 'convolution': {
      const { left, right, epilogue } = call;
      return epilogue?.bias === undefined ? [left, right] : [left, right, epilogue.bias];
    }
    case 'pool':
      return [call.input];
    case 'unpool':
      return call.argmaxIndices === undefined ? [call.input] : [call.input, call.argmaxIndices];
    case 'crossEntropy':
      return [call.logits, call.labels];
    case 'gather':
    case 'scatterAdd':
      return [call.input, call.indices];
    case 'random':
      return [call.key, call.samples];
    default:
      return call satisfies never;
  }
}

export function writesOf(call: KernelCall): readonly Storage[] {
  switch (call.kind) {
    case 'map':
    case 'reduce':
    case 'matmul':
    case 'convolution':
    case 'unpool':
    case 'gather':
    case 'scatterAdd':
    case 'random':
      return [call.output];
    case 'pool':
      return call.reduction === 'max' ? [call.output, call.argmaxIndices] : [call.output];
    case 'crossEntropy':
      return call.gradient === undefined ? [call.losses] : [call.losses, call.gradient];
    default:
      return call satisfies never;
  }
}

/** The same call on other storages. */
export function withStorages(call: KernelCall, replace: (storage: Storage) => Storage): KernelCall {
  switch (call.kind) {
    case 'map': {
      const view = (of: StridedView): StridedView => ({ ...of, storage: replace(of.storage) });
      return { ...call, inputs: call.inputs.map(view), output: replace(call.output) };
    }
    case 'reduce':
      return { ...call, input: replace(call.input), output: replace(call.output) };
    case 'matmul':
    case 'convolution': {
      const own = { left: replace(call.left), right: replace(call.right), output: replace(call.output) };
      return { ...call, ...own, ...(call.epilogue && { epilogue: epilogueOn(call.epilogue, replace) }) };
    }
    case 'pool': {
      const own = { input: replace(call.input), output: replace(call.output) };
      return call.reduction === 'max'
        ? { ...call, ...own, argmaxIndices: replace(call.argmaxIndices) }
        : { ...call, ...own };
    }
    case 'unpool': {
      const { argmaxIndices, ...rest } = call;
      const own = { input: replace(call.input), output: replace(call.output) };
      return { ...rest, ...own, ...(argmaxIndices === undefined ? {} : { argmaxIndices: replace(argmaxIndices) }) };
    }
    case 'crossEntropy': {
      const { gradient, ...rest } = call;
      const own = { logits: replace(call.logits), labels: replace(call.labels), losses: replace(call.losses) };
      return { ...rest, ...own, ...(gradient === undefined ? {} : { gradient: replace(gradient) }) };
    }
    case 'gather':
    case 'scatterAdd': {
      const { input, indices, output } = call;
      return { ...call, input: replace(input), indices: replace(indices), output: replace(output) };
    }
    case 'random':
      return { ...call, key: replace(call.key), samples: replace(call.samples), output: replace(call.output) };
    default:
      return call satisfies never;
  }
}

function epilogueOn({ bias, relu }: Epilogue, replace: (storage: Storage) => Storage): Epilogue {
  return bias === undefined ? { relu } : { bias: replace(bias), relu };
}
