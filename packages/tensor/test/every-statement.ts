/** Examples of ops for a device that compiles slowly. */
import { GpuBackend } from '../src/backends/gpu/backend.ts';
import type { DeviceArray, DeviceKernel, KernelSource } from '../src/backends/gpu/device.ts';
import { type ExamplesByOp, resultsOf } from './agreement.ts';
import type { Example } from './examples.ts';
import { HostDevice } from './host-device.ts';
import { type OpName, opExamples, opNames } from './op-examples.ts';

/**
 * The first example of each op, and every example with a kernel statement that no example before it has. Sizes and offsets
 * stand in a kernel's text, so almost every shape needs its own kernels: statements that differ only in numbers are equal.
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

/** A device that keeps the statements of its kernels and computes nothing. */
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
