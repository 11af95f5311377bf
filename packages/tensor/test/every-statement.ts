/** A subset of the op examples, for devices that compile slowly. */
import { GpuBackend } from '../src/backends/gpu/backend.ts';
import type { DeviceArray, DeviceKernel, KernelSource } from '../src/backends/gpu/device.ts';
import { type ExamplesByOp, resultsOf } from './agreement.ts';
import type { Example } from './examples.ts';
import { HostDevice } from './host-device.ts';
import { type OpName, opExamples, opNames } from './op-examples.ts';

/**
 * Returns the first example of each op, and every example with a kernel statement that no earlier example has.
 * Statements that differ only in numbers count as equal: kernels contain sizes and offsets, so almost every shape has
 * its own.
 */
export function examplesOfEveryStatement(): ExamplesByOp {
  const recorder = new StatementRecorder();
  const backend = new GpuBackend('gpu', recorder);
  const chosen: Partial<Record<OpName, readonly Example[]>> = {};
  for (const name of opNames) {
    const isChosen = opExamples[name].map((example, index) => {
      const before = recorder.statements.size;
      for (const tensor of resultsOf(backend, example)) tensor.dispose();
      return index === 0 || recorder.statements.size > before;
    });
    chosen[name] = opExamples[name].filter((_, index) => isChosen[index]);
  }
  return chosen as ExamplesByOp;
}

/** A device that records the statements of its kernels and computes nothing. */
class StatementRecorder extends HostDevice {
  readonly statements = new Set<string>();

  override compile(source: KernelSource): DeviceKernel {
    for (const statement of source.body.split('\n')) {
      this.statements.add(statement.trim().replace(/\d+(\.\d+)?(e[+-]?\d+)?/g, '0'));
    }
    return { source };
  }

  override run({ source }: DeviceKernel): DeviceArray {
    return this.upload(new Float32Array(source.length));
  }
}
