/** Runs go back whatever the liars tell. */
import { it } from 'vitest';
import { type Lie, lies } from '../src/simulated-worker.ts';
import { expectTimeOnly } from './liar-runs.ts';

it.each(Object.keys(lies) as Lie[])('liars that begin to lie at random steps cost time only (%s)', expectTimeOnly);
