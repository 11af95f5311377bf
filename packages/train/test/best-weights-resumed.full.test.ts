/** A run that keeps its best weights chooses the same, whenever it is interrupted. */
import { it } from 'vitest';
import { train } from '../src/index.ts';
import { best, expectResumed } from './best-runs.ts';
import { temporaryFolder } from './folder.ts';

const folder = temporaryFolder();
const alone = await train(best).result;

it.each([1, 7, 40, 56])('interrupted after step %i and resumed', (step) => expectResumed(folder, step, alone));
