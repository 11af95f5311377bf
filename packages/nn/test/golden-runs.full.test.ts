/** Gradients and steps on the reference backend, which is slow. */
import { describeGoldenRuns } from './golden-runs.ts';

describeGoldenRuns('reference');
