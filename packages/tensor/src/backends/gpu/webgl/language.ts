/** Shader language of WebGL 2: how bodies read inputs, and the functions that they call. */
import type { Dialect } from '../device.ts';
import type { TextureSize } from './arrays.ts';

export const dialect: Dialect = {
  cell: (input, index) => `cell${input}(${index})`,
  value: (input, index) => `value${input}(${index})`,
};

/** Settings of all kernels. */
export const settings = {
  // If unset, gpu.js may silently fall back to 8 bits.
  precision: 'single',
  // Full precision for positions too, whatever the texture's size.
  tactic: 'precision',
  pipeline: true,
  immutable: false,
  returnType: 'Array(4)',
};

/** Functions that take the other three cells of a quartered kernel. */
export const partFunctions = [1, 2, 3].map(
  (part) => `function part${part}(v0, v1, v2, v3) { return [v0, v1, v2, v3]; }`,
);

/** Shader types, by gpu.js's names for them. */
const shaderTypes = { Integer: 'int', Number: 'float', Float: 'float', 'Array(4)': 'vec4' } as const;

type ShaderType = keyof typeof shaderTypes;

/** A function in the shader language, as gpu.js takes it. */
function native(returnType: ShaderType, name: string, argumentTypes: Record<string, ShaderType>, body: string) {
  const parameters = Object.entries(argumentTypes).map(([parameter, type]) => `${shaderTypes[type]} ${parameter}`);
  const source = `${shaderTypes[returnType]} ${name}(${parameters.join(', ')}) { ${body} }`;
  return { name, source, argumentTypes, returnType };
}

const division = { value: 'Integer', divisor: 'Integer' } as const;

export const wholeNumbers = [
  native('Integer', 'quotient', division, 'return value / divisor;'),
  native('Integer', 'remainder', division, 'return value - divisor * (value / divisor);'),
  native('Integer', 'whole', { value: 'Number' }, 'return int(floor(value));'),
];

/**
 * Functions that read an input's cells and values. gpu.js itself divides by the texture's size for every read; here the
 * width is a power of two, known when the kernel is built.
 */
export function readersOf(input: number, [width, height]: TextureSize): ReturnType<typeof native>[] {
  const [texture, shift] = [`user_a${input}`, Math.log2(width)];
  const texel = (column: string, row: string): string =>
    `texture(${texture}, (vec2(ivec2(${column} & ${width - 1}, ${row})) + 0.5) * vec2(${1 / width}, ${1 / height}))`;
  const cell = `return ${texel('index', `index >> ${shift}`)};`;
  const value = `return ${texel('(index >> 2)', `index >> ${shift + 2}`)}[index & 3];`;
  return [
    native('Array(4)', `cell${input}`, { index: 'Integer' }, cell),
    native('Float', `value${input}`, { index: 'Integer' }, value),
  ];
}
