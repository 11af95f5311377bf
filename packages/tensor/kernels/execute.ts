/** Runs a program: kernel calls with their arguments, one after another. */
import * as codes from '../src/backends/cpu/call-codes';
import { bytesToFloats, copyRows, largestMagnitude } from './convert';
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

/** The calls from `call` up to `end`; src/backends/cpu/call-codes.ts says how they are written. */
export function execute(call: usize, end: usize): void {
  while (call < end) {
    switch (load<i32>(call)) {
      case codes.program:
        execute(word(call, 1), word(call, 2));
        call += 12;
        break;
      case codes.map:
        map(word(call, 1));
        call += 8;
        break;
      case codes.sum:
        sum(word(call, 1), word(call, 2), word(call, 3), word(call, 4), word(call, 5));
        call += 24;
        break;
      case codes.argmax:
        argmax(word(call, 1), word(call, 2), word(call, 3), word(call, 4), word(call, 5));
        call += 24;
        break;
      case codes.max:
        largest(word(call, 1), word(call, 2), word(call, 3), word(call, 4), word(call, 5));
        call += 24;
        break;
      case codes.min:
        smallest(word(call, 1), word(call, 2), word(call, 3), word(call, 4), word(call, 5));
        call += 24;
        break;
      case codes.matmul:
        matmul(
          word(call, 1), word(call, 2), word(call, 3), word(call, 4), word(call, 5), word(call, 6) != 0,
          word(call, 7) != 0, word(call, 8), word(call, 9), word(call, 10), word(call, 11) != 0,
        );
        call += 48;
        break;
      case codes.crossEntropy:
        crossEntropy(
          word(call, 1), word(call, 2), word(call, 3), word(call, 4), word(call, 5), word(call, 6), word(call, 7),
        );
        call += 32;
        break;
      case codes.convolution:
        convolution(word(call, 1));
        call += 8;
        break;
      case codes.pool:
        pool(word(call, 1));
        call += 8;
        break;
      case codes.unpool:
        unpool(word(call, 1));
        call += 8;
        break;
      case codes.gather:
        gather(
          word(call, 1), word(call, 2), word(call, 3), word(call, 4), word(call, 5) != 0, word(call, 6), word(call, 7),
          word(call, 8),
        );
        call += 36;
        break;
      case codes.scatterAdd:
        scatterAdd(
          word(call, 1), word(call, 2), word(call, 3), word(call, 4), word(call, 5) != 0, word(call, 6), word(call, 7),
          word(call, 8),
        );
        call += 36;
        break;
      case codes.random:
        random(word(call, 1), word(call, 2), word(call, 3), word(call, 4), word(call, 5), word(call, 6));
        call += 28;
        break;
      case codes.bytesToFloats:
        bytesToFloats(word(call, 1), word(call, 2), word(call, 3), load<f32>(call, 16));
        call += 20;
        break;
      case codes.copyRows:
        copyRows(word(call, 1), word(call, 2), word(call, 3), word(call, 4), word(call, 5));
        call += 24;
        break;
      case codes.largestMagnitude:
        store<f32>(word(call, 3), largestMagnitude(word(call, 1), word(call, 2)));
        call += 16;
        break;
      default:
        unreachable();
    }
  }
}
