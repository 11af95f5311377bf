/** The options of a server's certificate, the same for each command that listens. */
import { usageFailure } from './failure.ts';
import { switchOption, textOption, type ValuesOf } from './option.ts';
import { readOptionFile } from './option-files.ts';

export const tlsOptions = {
  tls: switchOption('listen with TLS, under a certificate made for this run; the join address has its fingerprint'),
  'tls-cert': textOption('FILE.pem', 'listen with TLS, under this certificate'),
  'tls-key': textOption('FILE.pem', 'the private key of --tls-cert'),
};

/** @throws CommandFailure with exit code 2 */
export function tlsOf(options: ValuesOf<typeof tlsOptions>) {
  const { tls, 'tls-cert': certFile, 'tls-key': keyFile } = options;
  if (certFile === undefined && keyFile === undefined) return tls;
  if (tls) throw usageFailure('--tls: expected without --tls-cert and --tls-key, which bring a certificate');
  if (certFile === undefined) throw usageFailure('--tls-key: expected with --tls-cert, got it alone');
  if (keyFile === undefined) throw usageFailure('--tls-cert: expected with --tls-key, got it alone');
  return { cert: readOptionFile('tls-cert', certFile), key: readOptionFile('tls-key', keyFile) };
}
