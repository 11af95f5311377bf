import { afterEach, describe, expect, it, vi } from 'vitest';
import { loadTensorFlow, prepareProcess } from '../src/load.ts';

const library = '@tensorflow/tfjs-node';

afterEach(() => {
  vi.doUnmock(library);
  vi.unstubAllEnvs();
});

/** Mocks a package that fails when it is read: the test runner would wrap an error that the mock itself throws. */
function failing(message: string, code?: string): void {
  vi.doMock(library, () => ({
    get default(): never {
      throw Object.assign(new Error(message), { code });
    },
  }));
}

const remedy = 'npm install @tensorflow/tfjs-node gets it, or in a clone of Lockstep npm run tfjs-node';

describe('if the library cannot be loaded, the error', () => {
  it.each([
    [
      'the addon',
      'The Node.js native addon module (tfjs_binding.node) can not be found at path: /x \nPlease run …',
      undefined,
      `expected the native part of @tensorflow/tfjs-node, which is not installed: ${remedy}`,
    ],
    [
      'the package',
      "Cannot find package '@tensorflow/tfjs-node' imported from /x",
      'ERR_MODULE_NOT_FOUND',
      `expected the package @tensorflow/tfjs-node, which is not installed: ${remedy}`,
    ],
    [
      'a library of the system',
      'libstdc++.so.6: version not found\n    at Object.dlopen',
      'ERR_DLOPEN_FAILED',
      '@tensorflow/tfjs-node cannot be loaded: libstdc++.so.6: version not found',
    ],
  ])('says in one sentence that this machine lacks %s', async (_, thrown, code, message) => {
    failing(thrown, code);
    await expect(loadTensorFlow()).rejects.toThrow(new Error(message));
  });
});

it('gives TensorFlow one thread, unless the environment sets the number', () => {
  vi.stubEnv('TF_NUM_INTRAOP_THREADS', undefined);
  vi.stubEnv('TF_NUM_INTEROP_THREADS', '3');
  vi.stubEnv('TF_CPP_MIN_LOG_LEVEL', undefined);
  prepareProcess();
  const { TF_NUM_INTRAOP_THREADS, TF_NUM_INTEROP_THREADS, TF_CPP_MIN_LOG_LEVEL } = process.env;
  expect({ TF_NUM_INTRAOP_THREADS, TF_NUM_INTEROP_THREADS, TF_CPP_MIN_LOG_LEVEL }).toEqual({
    TF_NUM_INTRAOP_THREADS: '1',
    TF_NUM_INTEROP_THREADS: '3',
    TF_CPP_MIN_LOG_LEVEL: '2',
  });
});
