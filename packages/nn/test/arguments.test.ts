/** Every public function refuses wrong arguments in one sentence. */
import { classField, type Dataset, samplesOf, valueTargets } from '@lockstep/data';
import { datasetFrom } from '@lockstep/data/readers';
import { fromArray, openBackend } from '@lockstep/tensor';
import { askEvery } from '../../data/test/wrong-arguments.ts';
import * as nn from '../src/index.ts';

const { backend } = await openBackend('cpu');
const model = nn.parseModel({ name: 'small', input: [3], layers: [{ type: 'dense', units: 2 }] });
const textModel = nn.resolveModel('gpt-nano');
const textParameters = backend.allocate(nn.parameterCount(textModel));
const weights = nn.initialize(model, 1);
const parameters = backend.allocate(weights.length);
const tensors = [fromArray(backend, new Float32Array(6), [3, 2]), fromArray(backend, [0, 0])];
const x = fromArray(backend, [1, 2, 3], [1, 3]);
const classes = datasetFrom({
  samples: [
    [1, 2, 3],
    [4, 5, 6],
  ],
  labels: ['a', 'b'],
});
const values: Dataset = {
  samples: samplesOf(Float32Array.of(1, 2, 3), [3]),
  targets: valueTargets(Float32Array.of(1, 2), ['p', 'q']),
  count: 1,
};
const adam = nn.defaultOptimizer('adam');
const tape = nn.recordPrediction(model, 1);
const table = { ...Object.fromEntries(tape.ops.map(({ name }) => [name, () => x])), constant: () => x };
const schedule = { type: 'cosine', steps: 10 } as const;
const scores = Float32Array.of(1, 2);
const standardization = { mean: 1, deviation: 2 };
const origin = { lockstep: '1', seed: 1, steps: 1, weightsSha256: 'x' };
const slots = new Map(['firstMoment', 'secondMoment'].map((name) => [name, backend.allocate(weights.length)]));
const fixed = { step: 1, samples: 2, parameters, gradient: backend.allocate(weights.length), slots };

askEvery(
  nn,
  {
    largestScore: [scores],
    checkOps: [tape, table, 'x'],
    createConfusionEvaluator: [backend, model, classes, 1],
    createEvaluation: [backend, model, 1, parameters, classField],
    createEvaluator: [backend, model, classes],
    createGeneration: [backend, textModel, textParameters],
    createMicrobatchGradient: [backend, model, 1, parameters, {}],
    createOptimizer: [backend, adam, parameters, []],
    createPrediction: [backend, model, 1, parameters],
    createShardGradient: [backend, model, { microbatches: 2, microbatchSize: 1 }, parameters, {}],
    createValueErrors: [backend, model, values, 1],
    defaultOptimizer: ['sgd'],
    describeModel: [{ samples: classes.samples, targets: classes.targets }, origin],
    embeddingOf: [model],
    evaluationWork: [model],
    everyLayer: [model],
    gpt2Config: [nn.resolveModel('gpt-nano')],
    fitFault: [model, classes.samples, classes.targets],
    fitOf: [classes.samples, classes.targets],
    forward: [model, x, tensors, {}],
    hasSetting: ['sgd', 'momentum'],
    initialize: [model, 1],
    inputSize: [model],
    learningRateAt: [adam, 1],
    numberedClasses: [2],
    optimizerRule: [adam],
    outputCount: [model],
    parameterCount: [model],
    parameterLayout: [model],
    parseDescription: [{ model: JSON.stringify(model) }, model],
    parseModel: [model],
    parseOptimizer: [adam],
    predictionCount: [classes],
    predictsPositions: [model],
    probabilitiesOf: [scores],
    readModelFile: [model, nn.writeModelFile(model, weights)],
    readSafetensors: [nn.writeModelFile(model, weights)],
    readTensors: [nn.writeModelFile(model, weights)],
    recordLoss: [model, 1, classField],
    recordPrediction: [model, 1],
    replay: [tape, table, [x, ...tensors]],
    resolveModel: ['mlp', { sampleShape: [3], outputs: 2 }],
    restoreValues: [scores, standardization],
    rootMeanSquaredError: [1, standardization],
    sameLayout: [[1, 2]],
    sampleSize: [model, classField],
    sampleToken: [scores, { temperature: 0, random: () => 0 }],
    scheduleFactor: [schedule, 1],
    standardizeValues: [scores, standardization],
    stepCalls: [adam, fixed],
    summary: [model],
    torchTensors: [model, weights],
    writeModelFile: [model, weights, {}],
    writeSafetensors: [{ tensors: [], metadata: {} }],
  },
  // Called for each parameter of a layer, with the layout of `parameterLayout`; or with options that its callers check.
  ['fromTorch', 'continueText', 'promptTokens'],
);
