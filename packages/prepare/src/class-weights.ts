/** Weights of classes in the training loss: balanced, or given by name, also in a file. */
import { type Dataset, targetWords, weightClasses } from '@lockstep/data';
import { maxWeightedClasses } from '@lockstep/protocol';
import { configurationError, optionName } from '@lockstep/worker';

/** Gives each class the same total weight. */
export const balanced = 'balanced' as const;

/** Weights by class name; an omitted class has a weight of 1. */
export type ClassWeights = Readonly<Record<string, number>>;

/**
 * Gives the training samples the weights of their classes.
 * `balanced` weights are `samples / (classes * samples of the class)`, as in scikit-learn.
 * @throws ConfigurationError if there are no classes, too many, or other ones
 */
export function withClassWeights(train: Dataset, asked: ClassWeights | typeof balanced | undefined): Dataset {
  if (asked === undefined) return train;
  const { targets } = train;
  const option = optionName('classWeights');
  if (targets.role !== 'index') {
    throw configurationError`${option}: expected data with classes, got ${targetWords[targets.role].many} to predict`;
  }
  const { names } = targets;
  if (names.length > maxWeightedClasses) {
    throw configurationError`${option}: expected at most ${maxWeightedClasses} classes, got ${names.length}`;
  }
  if (asked === balanced) return weightClasses(train, balancedWeights(targets.values, names.length));
  const unknown = Object.keys(asked).find((name) => !names.includes(name));
  if (unknown !== undefined) {
    const known = names.slice(0, 10).map((name) => JSON.stringify(name));
    const more = names.length > known.length ? `, … (${names.length} in all)` : '';
    throw configurationError`${option}: expected the classes ${known.join(', ')}${more}, got ${JSON.stringify(unknown)}`;
  }
  const weights = names.map((name) => (Object.hasOwn(asked, name) ? asked[name]! : 1));
  if (weights.every((weight) => weight === 0)) {
    throw configurationError`${option}: expected a weight above 0, got 0 for every class`;
  }
  return weightClasses(train, weights);
}

/** A class without samples has a weight of 1, and does not count as a class. */
function balancedWeights(labels: Uint16Array, classes: number): number[] {
  const counts = new Array<number>(classes).fill(0);
  for (const label of labels) counts[label]! += 1;
  const present = counts.filter((count) => count > 0).length;
  return counts.map((count) => (count === 0 ? 1 : labels.length / (present * count)));
}

/** Whether all values are weights: finite numbers of at least 0 that float32 can hold. */
export function areClassWeights(value: object): value is ClassWeights {
  const isWeight = (weight: unknown): boolean =>
    typeof weight === 'number' && weight >= 0 && Number.isFinite(Math.fround(weight));
  return !Array.isArray(value) && Object.values(value).every(isWeight);
}

/**
 * Reads the text of a file: a JSON object of weights by class name, or CSV rows of a class and its weight.
 * @throws Error with one sentence
 */
export function parseClassWeights(text: string): ClassWeights {
  const weights = /^\s*[[{]/.test(text) ? (JSON.parse(text) as object) : weightsOfRows(text);
  if (Array.isArray(weights)) throw new Error('expected an object of weights by class name, got a list');
  if (areClassWeights(weights)) return weights;
  const [name, weight] = Object.entries(weights).find(([at, value]) => !areClassWeights({ [at]: value }))!;
  throw new Error(`class ${JSON.stringify(name)}: expected a weight of at least 0, got ${JSON.stringify(weight)}`);
}

/** The first row may be a header, whose second cell is not a number. */
function weightsOfRows(text: string): ClassWeights {
  const weights = new Map<string, number>();
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    if (line.trim() === '') continue;
    const [, quoted, plain = '', cell] = /^\s*(?:"((?:[^"]|"")*)"|(.*?))\s*[,;\t]\s*([^,;\t]*?)\s*$/.exec(line) ?? [];
    const weight = cell === undefined || cell === '' ? Number.NaN : Number(cell);
    if (Number.isNaN(weight)) {
      if (index === 0 && cell !== undefined) continue;
      throw new Error(
        `line ${index + 1}: expected a class and its weight, such as cat,2.5, got ${JSON.stringify(line)}`,
      );
    }
    const name = quoted?.replaceAll('""', '"') ?? plain;
    if (weights.has(name))
      throw new Error(`line ${index + 1}: expected each class once, got ${JSON.stringify(name)} again`);
    weights.set(name, weight);
  }
  if (weights.size === 0) throw new Error('expected a class and its weight, such as cat,2.5, got none');
  return Object.fromEntries(weights);
}
