/** Runs a program: a list of kernel calls with their arguments. */
import * as codes from '../src/backends/cpu/call-codes';
import { bytesToFloats, largestMagnitude, rowsToBytes, rowsToFloats } from './convert';
import { convolution } from './convolution';
import { crossEntropy } from './cross-entropy';
import { gather, scatterAdd } from './gather';
import { map } from './map';
import { matmul } from './matmul';
import { pool, unpool } from './pool';
import { random } from './random';
import { argmax, largest, smallest, sum } from './reduce';

// @ts-ignore: decorator
@inline function word(call: usize, index: usize): i32 {
  return load<i32>(call + (index << 2));
}

/** Runs the calls from `call` up to `end`, encoded as in src/backends/cpu/call-codes.ts. */
export function execute(call: usize, end: usize): void {
  while (call < end) {
    const code = load<i32>(call);
    if (code === codes.program) {
      execute(word(call, 1), word(call, 2));
      call += 12;
    } else if (code === codes.map) {
      map(word(call, 1));
      call += 8;
    } else {
      call += product(code, call);
    }
  }
}

/** Runs a call of any other kind. @returns the size of the call in bytes, like the functions that it delegates to */
function product(code: i32, call: usize): usize {
  switch (code) {
    case codes.matmul:
      matmul(
        word(call, 1), word(call, 2), word(call, 3), word(call, 4), word(call, 5), word(call, 6) != 0,
        word(call, 7) != 0, word(call, 8), word(call, 9), word(call, 10), word(call, 11) != 0, word(call, 12),
      );
      return 52;
    case codes.convolution:
      convolution(word(call, 1));
      return 8;
    case codes.pool:
      pool(word(call, 1));
      return 8;
    case codes.unpool:
      unpool(word(call, 1));
      return 8;
    case codes.crossEntropy:
      crossEntropy(
        word(call, 1), word(call, 2), word(call, 3), word(call, 4), word(call, 5), word(call, 6), word(call, 7),
      );
      return 32;
    default:
      return reduction(code, call);
  }
}

function reduction(code: i32, call: usize): usize {
  switch (code) {
    case codes.sum:
      sum(word(call, 1), word(call, 2), word(call, 3), word(call, 4), word(call, 5));
      return 24;
    case codes.argmax:
      argmax(word(call, 1), word(call, 2), word(call, 3), word(call, 4), word(call, 5));
      return 24;
    case codes.max:
      largest(word(call, 1), word(call, 2), word(call, 3), word(call, 4), word(call, 5));
      return 24;
    case codes.min:
      smallest(word(call, 1), word(call, 2), word(call, 3), word(call, 4), word(call, 5));
      return 24;
    case codes.largestMagnitude:
      store<f32>(word(call, 3), largestMagnitude(word(call, 1), word(call, 2)));
      return 16;
    default:
      return movement(code, call);
  }
}

function movement(code: i32, call: usize): usize {
  switch (code) {
    case codes.bytesToFloats:
      bytesToFloats(word(call, 1), word(call, 2), word(call, 3), load<f32>(call, 16));
      return 20;
    case codes.rowsToFloats:
      rowsToFloats(word(call, 1), word(call, 2), word(call, 3), word(call, 4), word(call, 5), load<f32>(call, 24));
      return 28;
    case codes.rowsToBytes:
      rowsToBytes(word(call, 1), word(call, 2), word(call, 3), word(call, 4), word(call, 5));
      return 24;
    case codes.random:
      random(word(call, 1), word(call, 2), word(call, 3), word(call, 4), word(call, 5), word(call, 6));
      return 28;
    case codes.gather:
      gather(
        word(call, 1), word(call, 2), word(call, 3), word(call, 4), word(call, 5) != 0, word(call, 6), word(call, 7),
        word(call, 8),
      );
      return 36;
    case codes.scatterAdd:
      scatterAdd(
        word(call, 1), word(call, 2), word(call, 3), word(call, 4), word(call, 5) != 0, word(call, 6), word(call, 7),
        word(call, 8),
      );
      return 36;
    default:
      return unreachable();
  }
}
