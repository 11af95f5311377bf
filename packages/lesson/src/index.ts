/**
 * How a network learns, chapter by chapter. Each chapter computes its claims with Lockstep's own packages, and shows
 * them as plain data.
 */
export { type BarAxis, barAxis, barOn } from './bar-axis.ts';
export type { Chapter, LessonContext } from './chapter.ts';
export { chapters } from './chapters.ts';
export { accepts, type Control, expectedOf, type RangeControl, type Setting } from './controls.ts';
export { allDigits, type Digits, type DigitsUse, fewDigits, imageSize, labeledImages } from './digits.ts';
export {
  type Bars,
  type Code,
  type Curves,
  type Exhibit,
  type Figures,
  type Graph,
  type GraphNode,
  type Grid,
  isNumericColumn,
  type LiveCurve,
  type LiveCurves,
  type NeuronLayer,
  type Neurons,
  type Pictures,
  type Plane,
  type Table,
} from './exhibit.ts';
export { glossary, partsOf } from './glossary.ts';
export { type InsidePart, insideParts, partsOfChapter } from './inside/parts.ts';
export { gradientTable, outputBars, predictionTable, probabilityBars } from './inside/sample-exhibits.ts';
export {
  type LabeledSample,
  type LayerTrace,
  type ParameterTrace,
  type SampleTrace,
  traceSample,
} from './inside/sample-trace.ts';
export {
  type Histogram,
  viewWeights,
  type WeightHistograms,
  type WeightPictures,
  type WeightView,
} from './inside/weight-view.ts';
export { createLiveRun, curveText, type LiveRun, liveSteps, stepsPerPlace } from './live/live-run.ts';
export { beginsCurve, type LiveDefinition } from './live/live-settings.ts';
export { silentNeurons } from './live/neuron-pictures.ts';
export { type Verdict, verdictOf } from './verdict.ts';
