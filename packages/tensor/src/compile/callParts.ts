/** What a call reads and writes, said once for every pass over recorded calls. */
import type { Call, Storage, StridedView } from '../backend.ts';

export function readsOf(call: Call): readonly Storage[] {
  switch (call.kind) {
    case 'map':
      return call.inputs.map((view) => view.storage);
    case 'reduce':
      return [call.input];
    case 'matmul':
      return [call.left, call.right];
    case 'crossEntropy':
      return [call.logits, call.labels];
    default:
      return call satisfies never;
  }
}

export function writesOf(call: Call): readonly Storage[] {
  switch (call.kind) {
    case 'map':
    case 'reduce':
    case 'matmul':
      return [call.output];
    case 'crossEntropy':
      return call.gradient === undefined ? [call.losses] : [call.losses, call.gradient];
    default:
      return call satisfies never;
  }
}

/** The same call on other storages. */
export function withStorages(call: Call, replace: (storage: Storage) => Storage): Call {
  switch (call.kind) {
    case 'map': {
      const view = ({ storage, strides }: StridedView): StridedView => ({ storage: replace(storage), strides });
      return { ...call, inputs: call.inputs.map(view), output: replace(call.output) };
    }
    case 'reduce':
      return { ...call, input: replace(call.input), output: replace(call.output) };
    case 'matmul':
      return { ...call, left: replace(call.left), right: replace(call.right), output: replace(call.output) };
    case 'crossEntropy': {
      const { gradient, ...rest } = call;
      const own = { logits: replace(call.logits), labels: replace(call.labels), losses: replace(call.losses) };
      return { ...rest, ...own, ...(gradient === undefined ? {} : { gradient: replace(gradient) }) };
    }
    default:
      return call satisfies never;
  }
}
